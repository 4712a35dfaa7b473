module kfpkit.dev/pause

go 1.26
