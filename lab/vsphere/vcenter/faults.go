package main

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// rule is a fault for calls of a SOAP method, or for requests whose path starts with Path and whose query has Query in it.
type rule struct {
	Method string  `json:"method"`
	Path   string  `json:"path"`
	Query  string  `json:"query"`
	Skip   int     `json:"skip"`   // so many pass unharmed first
	Times  int     `json:"times"`  // 0: always
	Delay  float64 `json:"delay"`  // seconds
	Hold   bool    `json:"hold"`   // keep it waiting until there are other rules
	Drop   bool    `json:"drop"`   // close the connection without an answer
	After  int64   `json:"after"`  // close it after so many bytes of a file
	Status int     `json:"status"` // answer with this HTTP status
	Fault  string  `json:"fault"`  // a fault with this message; methods that return tasks return one that fails

	over chan struct{} // closed when there are other rules
}

type faults struct {
	mu    sync.Mutex
	rules []*rule
	over  chan struct{}
	held  int // requests that are kept waiting
}

func (f *faults) replace(body io.Reader) error {
	var rules []*rule
	if err := json.NewDecoder(body).Decode(&rules); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over != nil {
		close(f.over)
	}
	f.over = make(chan struct{})
	for _, rule := range rules {
		rule.over = f.over
	}
	f.rules = rules
	return nil
}

// wait keeps a request waiting as long as its rule wants.
func (f *faults) wait(rule *rule) {
	time.Sleep(time.Duration(rule.Delay * float64(time.Second)))
	if rule.Hold {
		f.hold(1)
		<-rule.over
		f.hold(-1)
	}
}

// hold counts the requests that are kept waiting, and returns how many these are.
func (f *faults) hold(more int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held += more
	return f.held
}

func (f *faults) next(r *http.Request, method string) *rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, rule := range f.rules {
		if method != "" && rule.Method != method || method == "" && (rule.Path == "" || !strings.HasPrefix(r.URL.Path, rule.Path)) {
			continue
		}
		if !strings.Contains(r.URL.RawQuery, rule.Query) {
			continue
		}
		if rule.Skip > 0 {
			rule.Skip--
			continue
		}
		if rule.Times > 0 {
			rule.Times--
			if rule.Times == 0 {
				f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
			}
		}
		return rule
	}
	return nil
}

// strike does what the rules want to happen to a request, and tells whether that was all.
func (f *faults) strike(w http.ResponseWriter, r *http.Request, method string, file *countingWriter) bool {
	rule := f.next(r, method)
	if rule == nil {
		return false
	}
	f.wait(rule)
	if rule.Drop {
		panic(http.ErrAbortHandler)
	}
	if rule.After > 0 && file != nil {
		file.limit = rule.After
		return false
	}
	if rule.Status > 0 {
		http.Error(w, rule.Fault, rule.Status)
		return true
	}
	if rule.Fault != "" && method != "" {
		answerFault(w, rule.Fault, "RuntimeFault", "")
		return true
	}
	return false
}

// strikeCall is strike for a SOAP call: a method that returns a task returns one that fails.
func (f *faults) strikeCall(w http.ResponseWriter, r *http.Request, method string, envelope []byte) bool {
	if !strings.HasSuffix(method, "_Task") {
		return f.strike(w, r, method, nil)
	}
	rule := f.next(r, method)
	if rule == nil {
		return false
	}
	f.wait(rule)
	if rule.Drop {
		panic(http.ErrAbortHandler)
	}
	if rule.Fault == "" {
		return false
	}
	body, err := request(envelope)
	if err != nil {
		answerFault(w, err.Error(), "InvalidRequest", "")
		return true
	}
	this := reflect.ValueOf(body).Elem().FieldByName("This").Interface().(types.ManagedObjectReference)
	task := simulator.CreateTask(this, strings.TrimSuffix(method, "_Task"), func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, &types.GenericVmConfigFault{Reason: rule.Fault}
	})
	task.Info.Entity = entity(this)
	ref := task.Run()
	simulator.Map.Update(task, []types.PropertyChange{{Name: "info.error", Val: types.LocalizedMethodFault{
		Fault: &types.GenericVmConfigFault{Reason: rule.Fault}, LocalizedMessage: rule.Fault,
	}}})
	answerTask(w, method, ref)
	return true
}
