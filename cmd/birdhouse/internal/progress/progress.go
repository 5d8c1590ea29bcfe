// Package progress shows how a build goes, as BuildKit's own clients do.
package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/containerd/console"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/moby/buildkit/util/progress/progresswriter"
)

// Mode returns the display for the flags --progress and --quiet. The variable
// BUILDKIT_PROGRESS counts where the flag is auto.
func Mode(flag string, quiet bool) (progressui.DisplayMode, error) {
	if v := os.Getenv("BUILDKIT_PROGRESS"); v != "" && flag == "auto" {
		flag = v
	}
	mode := progressui.DisplayMode(flag)
	switch mode {
	case progressui.AutoMode, progressui.TtyMode, progressui.PlainMode, progressui.QuietMode, progressui.RawJSONMode:
	case "none": // buildx's name for it
		mode = progressui.QuietMode
	default:
		return "", fmt.Errorf("--progress %s: there is auto, tty, plain, quiet and rawjson", flag)
	}
	if quiet {
		if mode != progressui.AutoMode && mode != progressui.QuietMode {
			return "", fmt.Errorf("--progress %s and --quiet contradict each other: drop one", flag)
		}
		mode = progressui.QuietMode
	}
	return mode, nil
}

// Display shows one build.
type Display struct {
	mode     progressui.DisplayMode
	out      *os.File
	build    chan *client.SolveStatus
	messages chan *client.SolveStatus
	done     chan struct{}
	parts    sync.WaitGroup
	warnings []client.VertexWarning
	err      error
}

// Start begins to show what is sent to Status. It ends when that is closed.
func Start(out *os.File, mode progressui.DisplayMode) (*Display, error) {
	var writer console.File = out
	display, err := progressui.NewDisplay(writer, mode)
	if err != nil {
		return nil, fmt.Errorf("--progress %s: %w", mode, err)
	}
	d := &Display{
		mode: mode, out: out,
		build:    make(chan *client.SolveStatus),
		messages: make(chan *client.SolveStatus),
		done:     make(chan struct{}),
	}
	shown := make(chan *client.SolveStatus)
	go func() {
		defer close(shown)
		for {
			select {
			case s, ok := <-d.build:
				if !ok {
					return
				}
				shown <- s
			case s := <-d.messages:
				shown <- s
			}
		}
	}()
	go func() {
		defer close(d.done)
		// Not the build's context: what led to its end is shown too.
		d.warnings, d.err = display.UpdateFrom(context.Background(), shown)
	}()
	return d, nil
}

// Status is what client.Build sends to, and closes.
func (d *Display) Status() chan *client.SolveStatus { return d.build }

// Part is Status for one of several builds that are shown together, by a name that
// is put where BuildKit's own steps, which every build has, would not tell. Finish ends
// them.
func (d *Display) Part(name string) chan *client.SolveStatus {
	part := make(chan *client.SolveStatus)
	d.parts.Go(func() {
		for s := range part {
			for _, v := range s.Vertexes {
				if strings.HasPrefix(v.Name, "exporting ") {
					v.Name = "[" + name + "] " + v.Name
				}
			}
			select {
			case d.messages <- s:
			case <-d.done:
			}
		}
	})
	return part
}

// Finish waits for the parts to end, after which Wait returns.
func (d *Display) Finish() {
	d.parts.Wait()
	close(d.build)
}

// Wait returns the build's warnings when all has been shown.
func (d *Display) Wait() ([]client.VertexWarning, error) {
	<-d.done
	return d.warnings, d.err
}

// Attach shows what parts of the session have to say, such as a login.
func (d *Display) Attach(attachables []session.Attachable) {
	for _, a := range attachables {
		if l, ok := a.(interface{ SetLogger(progresswriter.Logger) }); ok {
			l.SetLogger(func(s *client.SolveStatus) {
				select {
				case d.messages <- s:
				case <-d.done:
				}
			})
		}
	}
}

// Notice returns a function that tells people something before the build begins,
// in the form that the mode asks for.
func Notice(out *os.File, mode progressui.DisplayMode) func(string) {
	var mu sync.Mutex
	return func(msg string) {
		mu.Lock()
		defer mu.Unlock()
		switch mode {
		case progressui.QuietMode:
		case progressui.RawJSONMode:
			_ = json.NewEncoder(out).Encode(client.SolveStatus{Warnings: []*client.VertexWarning{{Level: 1, Short: []byte(msg)}}})
		default:
			fmt.Fprintln(out, msg)
		}
	}
}
