package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"net/http"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// front stands before the simulator's handlers.
type front struct {
	inner    http.Handler
	user     string
	password string
	methods  map[string]func(http.ResponseWriter, interface{})
	faults   faults

	mu      sync.Mutex
	calls   map[string]int   // by SOAP method
	served  map[string]int64 // bytes of datastore files, by path
	tracked *tracking
	denied  map[string]bool // privileges that the user does not have
}

func newFront(inner http.Handler, user, password string) *front {
	f := &front{inner: inner, user: user, password: password, calls: map[string]int{}, served: map[string]int64{}, tracked: newTracking()}
	f.methods = map[string]func(http.ResponseWriter, interface{}){
		"CreateSnapshot_Task":          f.createSnapshot,
		"RemoveSnapshot_Task":          f.removeSnapshot,
		"RemoveAllSnapshots_Task":      f.removeAllSnapshots,
		"RevertToSnapshot_Task":        f.revertToSnapshot,
		"RevertToCurrentSnapshot_Task": f.revertToCurrentSnapshot,
		"ReconfigVM_Task":              f.reconfigure,
		"QueryChangedDiskAreas":        f.queryChangedDiskAreas,
		"HasPrivilegeOnEntity":         f.hasPrivileges,
	}
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/lab/"):
		f.serveLab(w, r)
	case strings.HasPrefix(r.URL.Path, "/sdk") && r.Method == http.MethodPost:
		f.serveSOAP(w, r)
	case strings.HasPrefix(r.URL.Path, "/folder"):
		f.serveFolder(w, r)
	case r.URL.Path == "/rest/com/vmware/cis/session" && r.Method == http.MethodPost && r.URL.Query().Get("~action") == "" && !f.known(r):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		if !f.faults.strike(w, r, "", nil) {
			f.inner.ServeHTTP(w, r)
		}
	}
}

// known tells whether a request brings the user and password.
func (f *front) known(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && same(user, f.user) && same(password, f.password)
}

func same(given, expected string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(expected)) == 1
}

// context is one in which methods of the simulator's objects run.
func (f *front) context() *simulator.Context {
	session := &simulator.Session{UserSession: types.UserSession{UserName: f.user}, Registry: simulator.NewRegistry()}
	return &simulator.Context{Context: context.Background(), Map: simulator.Map, Session: session}
}

// loggedIn tells whether a request brings the cookie of a session.
func (f *front) loggedIn(r *http.Request) bool {
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return false
	}
	query := &types.SessionIsActive{SessionID: strings.Trim(cookie.Value, `"`), UserName: f.user}
	if simulator.Map.IsESX() { // does not answer the question
		return true
	}
	res := simulator.Map.SessionManager().SessionIsActive(f.context(), query)
	return res.Fault() == nil && active(res)
}

// serveFolder serves files of datastores; the simulator gives them to everybody, vCenter does not.
func (f *front) serveFolder(w http.ResponseWriter, r *http.Request) {
	if !f.known(r) && !f.loggedIn(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	path := r.URL.Path
	counted := &countingWriter{ResponseWriter: w, count: func(n int) {
		f.mu.Lock()
		f.served[path] += int64(n)
		f.mu.Unlock()
	}}
	if !f.faults.strike(counted, r, "", counted) {
		f.inner.ServeHTTP(counted, r)
	}
}

func (f *front) serveSOAP(w http.ResponseWriter, r *http.Request) {
	envelope, err := ioutil.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = ioutil.NopCloser(bytes.NewReader(envelope))
	method := calledMethod(envelope)
	f.mu.Lock()
	f.calls[method]++
	f.mu.Unlock()
	if f.faults.strikeCall(w, r, method, envelope) {
		return
	}
	handle, ours := f.methods[method]
	if !ours {
		if method == "Fetch" {
			defer answerUnset(w)
		}
		f.inner.ServeHTTP(w, r)
		return
	}
	if !f.loggedIn(r) {
		answerFault(w, "The session is not authenticated.", "NotAuthenticated", "")
		return
	}
	body, err := request(envelope)
	if err != nil {
		answerFault(w, err.Error(), "InvalidRequest", "")
		return
	}
	handle(w, body)
}

// answerUnset answers for the simulator, which stumbles over a property that is not set.
func answerUnset(w http.ResponseWriter) {
	if recover() != nil {
		answer(w, "Fetch", "")
	}
}

// hasPrivileges says yes to all but the privileges that a test took away.
func (f *front) hasPrivileges(w http.ResponseWriter, body interface{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var content strings.Builder
	for _, privilege := range body.(*types.HasPrivilegeOnEntity).PrivId {
		fmt.Fprintf(&content, "<returnval>%t</returnval>", !f.denied[privilege])
	}
	answer(w, "HasPrivilegeOnEntity", content.String())
}

// serveLab is for tests: faults to come, privileges that are denied, and what was asked and read so far.
func (f *front) serveLab(w http.ResponseWriter, r *http.Request) {
	if !f.known(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch {
	case r.URL.Path == "/lab/faults" && r.Method == http.MethodPut:
		if err := f.faults.replace(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	case r.URL.Path == "/lab/denied" && r.Method == http.MethodPut:
		var privileges []string
		if err := json.NewDecoder(r.Body).Decode(&privileges); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.denied = map[string]bool{}
		for _, privilege := range privileges {
			f.denied[privilege] = true
		}
	case r.URL.Path == "/lab/statistics" && r.Method == http.MethodGet:
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]interface{}{"calls": f.calls, "served": f.served, "held": f.faults.hold(0)})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// countingWriter counts the bytes of a body, and cuts the connection after `limit` of them if that is above 0.
type countingWriter struct {
	http.ResponseWriter
	count func(int)
	limit int64
	sent  int64
}

func (c *countingWriter) Write(data []byte) (int, error) {
	if c.limit > 0 && c.sent+int64(len(data)) > c.limit {
		part, _ := c.ResponseWriter.Write(data[:c.limit-c.sent])
		c.count(part)
		panic(http.ErrAbortHandler)
	}
	n, err := c.ResponseWriter.Write(data)
	c.sent += int64(n)
	c.count(n)
	return n, err
}
