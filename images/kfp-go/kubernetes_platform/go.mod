// The Go code of this module is generated while the images are built: see ../prepare.py.
module github.com/kubeflow/pipelines/kubernetes_platform

go 1.24.2

require google.golang.org/protobuf v1.36.6
