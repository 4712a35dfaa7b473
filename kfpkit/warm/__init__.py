"""The warm driver: runs KFP's driver for each task of a run without a pod of its own.

A webhook turns the driver templates of each new Workflow into templates that suspend, and keeps
their command lines in an annotation; whoever holds the lease runs KFP's own driver for each node
that is suspended so, and sets its outputs. Where the webhook is away, a run uses driver pods.
"""
