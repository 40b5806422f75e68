package server_test

import (
	"net/http"
	"testing"
	"time"

	"plugbeat/server/servertest"
)

func TestHTTPTimeouts(t *testing.T) {
	srv := servertest.NewServer(t, servertest.NewWorld()).HTTP(http.NotFoundHandler())
	if srv.WriteTimeout <= 310*time.Second {
		t.Errorf("WriteTimeout %v cuts reads that SDKs wait 310 s for", srv.WriteTimeout)
	}
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.IdleTimeout == 0 || srv.MaxHeaderBytes == 0 {
		t.Error("a limit is missing")
	}
}
