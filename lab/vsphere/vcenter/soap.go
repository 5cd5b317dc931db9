package main

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"regexp"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

var methodName = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)

// calledMethod is the name of the method that a SOAP envelope calls, without parsing all of it.
func calledMethod(envelope []byte) string {
	if match := methodName.FindSubmatch(envelope); match != nil {
		return string(match[1])
	}
	return ""
}

// request decodes the call of an envelope: a pointer to one of the request types of vim25.
func request(envelope []byte) (interface{}, error) {
	method, err := simulator.UnmarshalBody(types.TypeFunc(), envelope)
	if err != nil {
		return nil, err
	}
	return method.Body, nil
}

const (
	head = xml.Header + `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	tail = `</soapenv:Body></soapenv:Envelope>`
)

func escaped(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text))
	return out.String()
}

// answer writes the response of a method; `content` is XML.
func answer(w http.ResponseWriter, method string, content string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprintf(w, `%s<%sResponse xmlns="urn:vim25">%s</%sResponse>%s`, head, method, content, method, tail)
}

func answerTask(w http.ResponseWriter, method string, task types.ManagedObjectReference) {
	answer(w, method, fmt.Sprintf(`<returnval type="Task">%s</returnval>`, escaped(task.Value)))
}

// answerFault writes a fault of the given type; `fields` is the XML of its properties.
func answerFault(w http.ResponseWriter, message string, kind string, fields string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `%s<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%s</faultstring>`+
		`<detail><%sFault xmlns="urn:vim25" xsi:type="%s">%s</%sFault></detail></soapenv:Fault>%s`,
		head, escaped(message), kind, kind, fields, kind, tail)
}

func notFound(w http.ResponseWriter, ref types.ManagedObjectReference) {
	fields := fmt.Sprintf(`<obj type="%s">%s</obj>`, escaped(ref.Type), escaped(ref.Value))
	answerFault(w, "The object has already been deleted or has not been completely created", "ManagedObjectNotFound", fields)
}

// result is the task or value that the simulator's own method returned, or its fault, written as it stands.
func passOn(w http.ResponseWriter, method string, res soap.HasFault) {
	if fault := res.Fault(); fault != nil {
		kind := "RuntimeFault"
		if fault.Detail.Fault != nil {
			kind = reflect.Indirect(reflect.ValueOf(fault.Detail.Fault)).Type().Name()
		}
		answerFault(w, fault.String, kind, "")
		return
	}
	answerTask(w, method, taskOf(res))
}

// taskOf is the reference of the task in the body of a response.
func taskOf(res soap.HasFault) types.ManagedObjectReference {
	return reflect.ValueOf(res).Elem().FieldByName("Res").Elem().FieldByName("Returnval").Interface().(types.ManagedObjectReference)
}
