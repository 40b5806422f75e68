package admin_test

import (
	"os"
	"testing"

	"plugbeat/server/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.RunDescribed(m)) }
