// Pause is the process that holds a pod's namespaces open while its containers come and go.
// It ends on SIGTERM or SIGINT and reaps the children that a shared process namespace leaves to it.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	// One runs in every pod: give memory back instead of keeping it for speed.
	debug.SetGCPercent(20)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for got := range signals {
		if got != syscall.SIGCHLD {
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
