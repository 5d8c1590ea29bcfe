package smoke

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"syscall"
)

// probe looks once at what the program does, and says what it saw.
func probe(ctx context.Context, spec Spec, p *process) (ok bool, saw string) {
	for _, loopback := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		// Dialer.DialContext would link all that looks up names.
		conn, err := new(net.Dialer).DialTCP(ctx, "tcp", netip.AddrPort{}, netip.AddrPortFrom(loopback, uint16(spec.Port)))
		if err != nil {
			// The first address speaks for both, unless the second is there.
			if saw == "" && errors.Is(err, syscall.ECONNREFUSED) {
				saw = fmt.Sprintf("nothing listens on port %d", spec.Port)
			} else if saw == "" {
				saw = err.Error()
			}
			continue
		}
		if spec.Path == "" {
			conn.Close()
			if !p.output.has() {
				return false, fmt.Sprintf("port %d is open, but %q was not printed", spec.Port, spec.Output)
			}
			return true, fmt.Sprintf("port %d was open", spec.Port)
		}
		if ok, saw = get(ctx, spec, conn); ok {
			return true, saw
		}
	}
	return false, saw
}

// maxAnswer bounds what is read of an HTTP answer.
const maxAnswer = 4 << 20

// get asks for spec.Path over conn, which it closes.
//
// It speaks HTTP itself: net/http would be half of the whole program, for one
// request over the loopback interface.
func get(ctx context.Context, spec Spec, conn net.Conn) (ok bool, saw string) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: birdhouse-smoke\r\nAccept: */*\r\nConnection: close\r\n\r\n", spec.Path, spec.Port)
	if err != nil {
		return false, fmt.Sprintf("port %d is open, but takes no request: %v", spec.Port, err)
	}
	status, body, err := readAnswer(io.LimitReader(conn, maxAnswer), spec.Output != "")
	switch {
	case err != nil:
		return false, fmt.Sprintf("port %d is open, but gave no HTTP answer: %v", spec.Port, err)
	case status != spec.Status:
		return false, fmt.Sprintf("status %d", status)
	case !bytes.Contains(body, []byte(spec.Output)):
		return false, fmt.Sprintf("status %d, but %q is not in the answer, which begins %.300q", status, spec.Output, body)
	}
	return true, fmt.Sprintf("GET %s on port %d answered %d", spec.Path, spec.Port, status)
}

// readAnswer reads an HTTP/1 response, with its body if that is wanted: what
// of it arrived, if it ends early.
func readAnswer(conn io.Reader, wantBody bool) (status int, body []byte, err error) {
	r := bufio.NewReader(conn)
	text := textproto.NewReader(r)
	for {
		line, err := text.ReadLine()
		if err != nil {
			return 0, nil, err
		}
		version, rest, _ := strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		if status, err = strconv.Atoi(code); err != nil || len(code) != 3 || !strings.HasPrefix(version, "HTTP/1.") {
			return 0, nil, fmt.Errorf("it begins %.80q", line)
		}
		header, err := text.ReadMIMEHeader()
		if err != nil {
			return 0, nil, err
		}
		// 1xx come before the answer.
		if status < 200 && status != 101 {
			continue
		}
		switch length, isNumber := strconv.ParseInt(header.Get("Content-Length"), 10, 64); {
		case !wantBody:
		case strings.EqualFold(header.Get("Transfer-Encoding"), "chunked"):
			body = readChunks(r)
		case isNumber == nil:
			body, _ = io.ReadAll(io.LimitReader(r, length))
		default:
			body, _ = io.ReadAll(r)
		}
		return status, body, nil
	}
}

// readChunks reads a chunked body, https://www.rfc-editor.org/rfc/rfc9112#section-7.1,
// as far as it is whole.
func readChunks(r *bufio.Reader) []byte {
	var body bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return body.Bytes()
		}
		digits, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		size, err := strconv.ParseInt(strings.TrimSpace(digits), 16, 32)
		if err != nil || size <= 0 {
			return body.Bytes()
		}
		if _, err := io.CopyN(&body, r, size); err != nil {
			return body.Bytes()
		}
		if _, err := r.ReadString('\n'); err != nil {
			return body.Bytes()
		}
	}
}
