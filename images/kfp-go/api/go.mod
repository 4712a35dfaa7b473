// The Go code of this module is generated while the images are built: see ../prepare.py.
module github.com/kubeflow/pipelines/api

go 1.24.2

require (
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250715232539-7130f93afb79
	google.golang.org/protobuf v1.36.6
)
