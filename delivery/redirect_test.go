package delivery

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// A receiver that sends its callers elsewhere is not followed, wherever that is and
// however it says so.
func TestRedirectsLeadNowhere(t *testing.T) {
	hits, status, to := 0, 0, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		if r.URL.Path != "/hook" {
			t.Errorf("%d to %s was followed", status, to)
		}
		for name, value := range map[string]string{
			"Location": to, "Refresh": "0; url=" + to, "Content-Location": to, "Link": "<" + to + ">; rel=preload",
			"Alt-Svc": `h2="169.254.169.254:80"; ma=3600, h3=":443"`, "Connection": "close",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<meta http-equiv="refresh" content="0; url=`+to+`">`)
	}))
	defer srv.Close()
	x := wireSender(t, Settings{})
	tried := 0
	for _, status = range []int{201, 300, 301, 302, 303, 305, 307, 308, 399} {
		for _, to = range []string{
			srv.URL + "/trap", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:169.254.169.254]/", "http://10.1.2.3/", "//0.0.0.0/",
			"/trap", "http://localhost/trap", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "http://[fe80::1%25lo]/", "", "http://%zz/",
		} {
			hits = 0
			a := x.send(t.Context(), hookAt(srv.URL+"/hook"), uuid.New(), []byte("{}"))
			want := webhook.OutcomeFailed
			if status == 201 {
				want = webhook.OutcomeDelivered
			}
			if a.Outcome != want || a.Status != status || hits != 1 {
				t.Errorf("%d to %s: %s %d, %d requests", status, to, a.Outcome, a.Status, hits)
			}
			tried++
		}
	}
	t.Logf("%d answers that point elsewhere, none followed", tried)
}
