package backpressure

import (
	"testing"

	"pgregory.net/rapid"

	"postern/config"
)

func kindOf(t testing.TB, n Name) kind {
	t.Helper()
	for _, k := range kinds() {
		if k.name == n {
			return k
		}
	}
	t.Fatalf("no resource %q", n)
	return kind{}
}

// TestDefaults holds the numbers that docs/back-pressure.md gives.
func TestDefaults(t *testing.T) {
	const gb, mb = 1 << 30, 1 << 20
	for _, tt := range []struct {
		name                                   Name
		limit                                  int64
		medium, high, highToMedium, toNormal   int64 // free where that counts
		mediumText, highText, htmText, mtnText string
	}{
		{Disk, 100 * gb, gb, 500 * mb, 550 * mb, gb + gb/10, "1GB free", "500MB free", "550MB free", "1.1GB free"},
		{Disk, 10 * gb, gb, 500 * mb, 550 * mb, gb + gb/10, "1GB free", "500MB free", "550MB free", "1.1GB free"},
		{Disk, 2000 * mb, 200 * mb, 100 * mb, 110 * mb, 220 * mb, "200MB free", "100MB free", "110MB free", "220MB free"},
		{LogDisk, 100 * gb, gb, 500 * mb, 550 * mb, gb + gb/10, "1GB free", "500MB free", "550MB free", "1.1GB free"},
		{Inodes, 1000000, 10000, 5000, 5500, 11000, "10000 free", "5000 free", "5500 free", "11000 free"},
		{Inodes, 1000, 100, 50, 55, 110, "100 free", "50 free", "55 free", "110 free"},
		{Segments, 4, 1, 0, 2, 2, "1 free", "0 free", "1 free", "1 free"},
		{Memory, 1000 * mb, 720 * mb, 750 * mb, 730 * mb, 710 * mb, "720MB", "750MB", "730MB", "710MB"},
		{SubmissionQueue, 0, 9999, 15000, 10000, 2000, "9999", "15000", "10000", "2000"},
		{Messages, 0, 1000000, 1500000, 1350000, 900000, "1000000", "1500000", "1350000", "900000"},
		{SyncLatency, 0, 2e9, 10e9, 5e9, 1e9, "2s", "10s", "5s", "1s"},
		{FileDescriptors, 1000, 800, 900, 850, 750, "800", "900", "850", "750"},
	} {
		k := kindOf(t, tt.name)
		cfg, _, err := config.Default()
		if err != nil {
			t.Fatal(err)
		}
		got := k.thresholds(k.config(&cfg.BackPressure), tt.limit)
		if auto := k.defaults(tt.limit); auto != got {
			t.Errorf("%s: auto stands for %+v, the defaults for %+v", tt.name, auto, got)
		}
		want := Thresholds{Medium: tt.medium, High: tt.high, HighToMedium: tt.highToMedium, MediumToNormal: tt.toNormal}
		if k.free {
			want = Thresholds{Medium: tt.limit - tt.medium, High: tt.limit - tt.high, HighToMedium: tt.limit - tt.highToMedium, MediumToNormal: tt.limit - tt.toNormal}
		}
		if tt.name == Segments { // below this value it falls: where one more is free
			want.HighToMedium, want.MediumToNormal = tt.limit-1, tt.limit-1
		}
		near := func(a, b int64) bool { return a-b <= 1 && b-a <= 1 }
		if got.Medium != want.Medium || got.High != want.High || !near(got.HighToMedium, want.HighToMedium) || !near(got.MediumToNormal, want.MediumToNormal) {
			t.Errorf("%s of %d: %+v, want %+v", tt.name, tt.limit, got, want)
		}
		for i, s := range [][2]string{{k.threshold(got.Medium, tt.limit), tt.mediumText}, {k.threshold(got.High, tt.limit), tt.highText},
			{k.threshold(got.HighToMedium, tt.limit), tt.htmText}, {k.threshold(got.MediumToNormal, tt.limit), tt.mtnText}} {
			if s[0] != s[1] {
				t.Errorf("%s of %d: threshold %d is shown as %q, want %q", tt.name, tt.limit, i, s[0], s[1])
			}
		}
	}
}

// TestDefaultsMakeSense: for every resource of a reasonable size the defaults
// can be reached and left again.
func TestDefaultsMakeSense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.SampledFrom(kinds()).Draw(t, "kind")
		limit := rapid.OneOf(rapid.Int64Range(100, 1<<20), rapid.Int64Range(1<<20, 1<<62)).Draw(t, "limit")
		if s := k.defaults(limit); (k.noun != "messages" && k.unit != nanoseconds || limit > 1<<40) && !s.valid(limit) {
			t.Fatalf("%s of %d: %+v", k.name, limit, s)
		}
		if s := k.defaults(0); !k.free && k.name != Memory && k.name != FileDescriptors && !s.valid(0) {
			t.Fatalf("%s: %+v", k.name, s)
		}
	})
}

func TestWrittenThresholds(t *testing.T) {
	const gb = 1 << 30
	k := kindOf(t, Disk)
	p := config.Pressure{
		Medium: config.Threshold{Measure: config.MeasureUsedPercent, N: 90}, High: config.Threshold{Measure: config.MeasureFreePercent, N: 5},
		MediumToNormal: config.Threshold{Measure: config.MeasureFree, N: 20 * gb},
	}
	got := k.thresholds(&p, 100*gb)
	want := Thresholds{Medium: 90 * gb, High: 95 * gb, HighToMedium: 95*gb - 5*gb/10, MediumToNormal: 80 * gb}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		name Name
		r    Reading
		want string
	}{
		{Disk, Reading{Used: 60 << 30, Limit: 63 << 30}, "3GB free of 63GB"},
		{Disk, Reading{Used: 60<<30 + 900<<20, Limit: 63 << 30}, "2.12GB free of 63GB"},
		{Inodes, Reading{Used: 900, Limit: 1000}, "100 inodes free of 1000"},
		{Segments, Reading{Used: 1, Limit: 4}, "3 segments free of 4"},
		{Memory, Reading{Used: 310 << 20, Limit: 24 << 30}, "310MB of 24GB"},
		{Messages, Reading{Used: 12000}, "12000 messages"},
		{SyncLatency, Reading{Used: 1234567}, "1.2ms"},
		{SyncLatency, Reading{Used: 3210000000}, "3.21s"},
		{SyncLatency, Reading{}, "0s"},
		{FileDescriptors, Reading{Used: 57, Limit: 1024}, "57 descriptors of 1024"},
	} {
		k := kindOf(t, tt.name)
		if got := k.value(tt.r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
