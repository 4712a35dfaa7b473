"""A stand-in of Vertex AI Pipelines: its REST API on a port of this machine, and real runs.

Requests are parsed strictly by Google's published messages (google.cloud.aiplatform.v1) and by
KFP's (`PipelineSpec`). The pipelines run by the kit's own local runner, in a process of their own
(`worker`), and what they write goes into a `fake-gcs-server`. What it says of the rounds of a loop
is a guess: Google describes it nowhere.
"""
