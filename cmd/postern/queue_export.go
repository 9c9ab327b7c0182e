package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"postern/internal/control"
)

// exported is one message of "queue export".
type exported struct {
	ID string `json:"id"`
	// Content and Envelope are the files written, within the directory.
	Content  string `json:"content,omitempty"`
	Envelope string `json:"envelope,omitempty"`
	// Skipped is why it was not written.
	Skipped string `json:"skipped,omitempty"`
}

func (a *app) queueExport() *cobra.Command {
	var f filterFlags
	var to string
	var replay bool
	cmd := &cobra.Command{
		Use:   "export --to DIR [ID...]",
		Short: "Copy messages to files",
		Long: `Export copies messages to the directory DIR, which is made when it is missing:
the content as ID.eml, octet by octet as it is stored, and the envelope with the
state of each recipient as ID.json. With --replay the envelope stands as
X-Sender and X-Receiver lines on top of ID.eml instead, as Exchange's Replay
directory takes it, for the recipients that are still to be delivered.

The messages stay in the queue; a message that may leave meanwhile is better
suspended first. Files that exist are not overwritten.
` + chooseHelp,
		Example: `  postern queue export --to /root/kept 0AKWKNNHG0000
  postern queue export --to /root/kept --queue Poison
  postern queue export --to /root/replay --replay --all`,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := a.parseFilter(cmd, &f, args)
			if err == nil {
				err = noNames(cmd, names)
			}
			switch {
			case err != nil:
				return err
			case to == "":
				return usageError{errors.New("say where to write with --to DIR")}
			case f.filter.Empty() && !f.all:
				return usageError{errors.New("name a message, choose messages with a filter, or all of them with --all")}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			e := exporter{app: a, client: c, replay: replay, list: []exported{}}
			return asked(e.run(cmd.Context(), to, f.filter))
		},
	}
	f.register(cmd, false)
	cmd.Flags().BoolVar(&f.all, "all", false, "all messages in all queues")
	cmd.Flags().StringVar(&to, "to", "", "the directory to write to")
	cmd.Flags().BoolVar(&replay, "replay", false, "put the envelope on top of the content, for a Replay directory")
	return cmd
}

type exporter struct {
	app     *app
	client  *control.Client
	root    *os.Root
	replay  bool
	list    []exported
	written int
}

func (e *exporter) run(ctx context.Context, dir string, f control.Filter) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the directory to write to: %w", err)
	}
	// What is written holds people's mail: it goes where it was meant to go.
	if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() {
		return fmt.Errorf("%s is no directory, or a symbolic link to one; name the directory itself", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("the directory to write to: %w", err)
	}
	defer root.Close()
	e.root = root
	progress := e.app.progress("messages")
	_, err = eachPage(ctx, e.client, f, "", 0, func(list []control.Message) error {
		for i := range list {
			if err := e.message(ctx, list[i].ID); err != nil {
				return fmt.Errorf("%s: %w", list[i].ID, err)
			}
			progress.add(1)
		}
		return nil
	})
	if err == nil {
		err = syncDir(root)
	}
	if err != nil {
		if e.written > 0 {
			fmt.Fprintf(e.app.err, "%s written before that\n", plural(e.written, "message", "messages"))
		}
		return err
	}
	return e.report(ctx, dir, f)
}

func (e *exporter) report(ctx context.Context, dir string, f control.Filter) error {
	if e.app.json() {
		if err := e.app.printJSON(e.list); err != nil {
			return err
		}
	} else {
		for _, m := range e.list {
			if m.Skipped != "" {
				fmt.Fprintf(e.app.out, "%s: %s\n", m.ID, clean(m.Skipped))
			}
		}
		fmt.Fprintf(e.app.out, "%s written to %s\n", plural(e.written, "message", "messages"), dir)
	}
	missing := slices.DeleteFunc(slices.Clone(f.IDs), func(id string) bool {
		return slices.ContainsFunc(e.list, func(x exported) bool { return x.ID == id })
	})
	if err := e.app.notQueued(ctx, e.client, missing); err != nil {
		return err
	}
	if e.written == 0 && len(f.IDs) > 0 {
		return errReported
	}
	return nil
}

// message writes one message, unless it has left the queue meanwhile.
func (e *exporter) message(ctx context.Context, id string) error {
	m, err := askMessage(ctx, e.client, id)
	var content io.ReadCloser
	if err == nil {
		content, err = e.client.Content(ctx, id)
	}
	var r *control.RequestError
	if errors.As(err, &r) && r.Status == http.StatusNotFound {
		e.list = append(e.list, exported{ID: id, Skipped: "it left the queue meanwhile, and is skipped"})
		return nil
	}
	if err != nil {
		return err
	}
	defer content.Close()
	top, out := []byte(nil), exported{ID: id, Content: id + ".eml"}
	if e.replay {
		if top, err = replayHeader(&m.Envelope); err != nil {
			return err
		}
	} else {
		out.Envelope = id + ".json"
	}
	if err := e.write(out.Content, top, content); err != nil {
		return err
	}
	if out.Envelope != "" {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(&m.Envelope); err != nil {
			return err
		}
		if err := e.write(out.Envelope, text.Bytes(), nil); err != nil {
			return err
		}
	}
	e.list = append(e.list, out)
	e.written++
	return nil
}

func askMessage(ctx context.Context, c *control.Client, id string) (*control.MessageDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return c.Message(ctx, id)
}

// write makes a new file, durable, with what stands on top and the rest. Of a
// file that can't be finished nothing is left.
func (e *exporter) write(name string, top []byte, rest io.Reader) error {
	f, err := e.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; choose an empty directory", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(top)
	if err == nil && rest != nil {
		_, err = io.Copy(f, rest)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, e.root.Remove(name))
	}
	return nil
}

// syncDir makes the names of new files durable.
func syncDir(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
