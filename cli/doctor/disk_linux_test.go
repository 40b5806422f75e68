package doctor

import (
	"testing"
)

func TestDiskOf(t *testing.T) {
	d, err := diskOf(t.TempDir())
	if err != nil || d.Total <= 0 || d.Free > d.Total || d.ReadOnly {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := diskOf("/no/such/place"); err == nil {
		t.Error("a path that is not there")
	}
	if d, err := diskOf("/dev/shm"); err == nil && d.Kind != "tmpfs" {
		t.Logf("/dev/shm is on %q", d.Kind)
	}
}
