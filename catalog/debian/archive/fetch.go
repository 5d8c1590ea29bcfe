package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Fetcher gets files from a mirror. What does not answer, breaks off or fails
// on the server's side is tried again.
type Fetcher struct {
	// Client is used for all requests; nil is a client with time limits.
	Client *http.Client
	// Tries is how often a file is tried, 4 unless set; Wait the pause after
	// the first failure, half a second unless set. It doubles each time.
	Tries uint
	Wait  time.Duration
	// Accept is the header of that name, "" for none.
	Accept string
}

// attemptTimeout bounds one try of one file.
const attemptTimeout = 5 * time.Minute

// DefaultClient is the client with time limits.
var DefaultClient = func() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 30 * time.Second
	return &http.Client{Transport: t}
}()

// StatusError is an answer of the server other than 200.
type StatusError struct {
	URL    string
	Status int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("fetching %s: the server answers %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

// Get returns the content of a URL, which has at most limit bytes.
func (f *Fetcher) Get(ctx context.Context, rawURL string, limit int64) ([]byte, error) {
	shown := rawURL
	if u, err := url.Parse(rawURL); err == nil {
		shown = u.Redacted()
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = f.Wait
	if f.Wait == 0 {
		wait.InitialInterval = 500 * time.Millisecond
	}
	wait.Multiplier = 2
	tries := f.Tries
	if tries == 0 {
		tries = 4
	}
	data, err := backoff.Retry(ctx, func() ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		return f.once(ctx, rawURL, shown, limit)
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(tries))
	if permanent := (*backoff.PermanentError)(nil); errors.As(err, &permanent) {
		err = permanent.Err
	}
	return data, err
}

func (f *Fetcher) once(ctx context.Context, rawURL, shown string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, backoff.Permanent(fmt.Errorf("fetching %s: %w", shown, err))
	}
	// Without this the transport would ask for gzip and unpack it, which is no
	// use for compressed files and would make the limit one of unpacked bytes.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "birdhouse")
	if f.Accept != "" {
		req.Header.Set("Accept", f.Accept)
	}
	client := f.Client
	if client == nil {
		client = DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		// Its text is `Get "URL": cause`.
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("fetching %s: %w", shown, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err := error(&StatusError{URL: shown, Status: resp.StatusCode})
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout {
			err = backoff.Permanent(err)
		}
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("fetching %s: the transfer broke off after %d bytes: %w", shown, len(data), err)
	}
	if int64(len(data)) > limit {
		return nil, backoff.Permanent(fmt.Errorf("fetching %s: it is larger than the %d bytes expected", shown, limit))
	}
	return data, nil
}
