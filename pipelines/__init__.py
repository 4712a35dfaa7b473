"""The sample pipelines; every module here that defines a pipeline is found by glob."""
