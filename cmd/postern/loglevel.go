package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/control"
	"postern/internal/eventid"
)

func (a *app) logLevel() *cobra.Command {
	var span string
	var reset bool
	cmd := &cobra.Command{
		Use:   "log-level [AREA=LEVEL ...]",
		Short: "Show or change the levels of the event log of the running gateway",
		Long: `Log-level shows the level of each area of the event log, and changes it in the
running gateway for a time: an hour, unless --for says otherwise. Then the
level is what the configuration says again, by itself. Neither the file nor a
restart is needed, and a reload leaves it alone.

Levels are debug, info, warn and error; AREA may be "all". With --reset the areas
that are named, or all, get their configured level back at once.

The areas are ` + areaNames() + `.`,
		Example: `  postern log-level
  postern log-level routing=debug --for 10m
  postern log-level all=debug routing=info
  postern log-level --reset`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			order, err := logLevelOrder(args, span, reset)
			if err != nil {
				return usageError{err}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTime)
			defer cancel()
			var levels *control.LogLevels
			if order == nil {
				levels, err = c.LogLevels(ctx)
			} else {
				levels, err = c.OrderLogLevels(ctx, *order)
			}
			if err != nil {
				return asked(err)
			}
			if a.json() {
				return a.printJSON(levels)
			}
			a.printLogLevels(levels, time.Now())
			return nil
		},
	}
	cmd.Flags().StringVar(&span, "for", "", `how long the levels hold: "10m", or "unlimited" (default 1h)`)
	cmd.Flags().BoolVar(&reset, "reset", false, "give areas the level of the configuration back")
	return cmd
}

func areaNames() string {
	areas := eventid.Areas()
	names := make([]string, len(areas))
	for i, a := range areas {
		names[i] = string(a)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// logLevelOrder makes arguments into an order; nil where nothing is ordered.
func logLevelOrder(args []string, span string, reset bool) (*control.LogLevelOrder, error) {
	order := &control.LogLevelOrder{Levels: map[string]string{}}
	for _, arg := range args {
		area, level, set := strings.Cut(arg, "=")
		switch {
		case set && order.Levels[area] != "":
			return nil, fmt.Errorf("%s is given two levels", area)
		case set:
			order.Levels[area] = level
		case !reset:
			return nil, fmt.Errorf("%q is no AREA=LEVEL, such as routing=debug", arg)
		case !slices.Contains(order.Reset, area):
			order.Reset = append(order.Reset, area)
		}
	}
	if reset && len(order.Reset) == 0 {
		order.Reset = []string{control.AllAreas}
	}
	switch {
	case span != "" && len(order.Levels) == 0:
		return nil, errors.New("--for is of use only with AREA=LEVEL")
	case span == "unlimited":
		order.Unlimited = true
	case span != "":
		d, err := config.ParseDuration(span)
		if err != nil || d < time.Second || d > control.MaxLogLevelFor {
			return nil, fmt.Errorf("--for %s: want a time from 1s to %s, or unlimited", span, config.FormatDuration(control.MaxLogLevelFor))
		}
		order.For = int64(d / time.Second)
	case len(order.Levels)+len(order.Reset) == 0:
		return nil, nil
	}
	return order, nil
}

func (a *app) printLogLevels(l *control.LogLevels, now time.Time) {
	s := styleFor(a.out)
	t := &table{header: []string{"AREA", "LEVEL", "CONFIGURED", "UNTIL"}}
	for _, area := range l.Areas {
		end := ""
		switch {
		case area.Ordered && area.Until.IsZero():
			end = "the gateway ends"
		case area.Ordered:
			end = fmt.Sprintf("%s (%s)", localTime(area.Until), until(area.Until, now))
		}
		t.add(area.Area, area.Level, area.Configured, end)
	}
	t.paint = func(row, column int, text string) string {
		if column == 1 && l.Areas[row].Ordered {
			return s.bold(text)
		}
		return text
	}
	t.print(a.out)
}
