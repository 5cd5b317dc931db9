package main

import (
	"fmt"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// pagingCollector answers in pages when it is asked to, as vCenter does; the simulator's own gives all objects at once.
type pagingCollector struct {
	simulator.PropertyCollector

	mu      sync.Mutex
	updates []types.UpdateSet
	rest    map[string][]types.ObjectContent
	pages   int
}

// installPaging puts it in the place of the simulator's own; each session gets one of this type.
func installPaging() {
	ref := simulator.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content.PropertyCollector
	collector := &pagingCollector{}
	collector.Self = ref
	simulator.Map.Put(collector)
}

func (pc *pagingCollector) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	collector := &pagingCollector{}
	collector.Self.Type = "PropertyCollector"
	return &methods.CreatePropertyCollectorBody{
		Res: &types.CreatePropertyCollectorResponse{Returnval: ctx.Session.Put(collector).Reference()},
	}
}

func (pc *pagingCollector) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if req.Version == "" {
		pc.updates = nil
	}
	if len(pc.updates) == 0 {
		res := pc.PropertyCollector.WaitForUpdatesEx(ctx, req)
		body, ok := res.(*methods.WaitForUpdatesExBody)
		if !ok || body.Res == nil || body.Res.Returnval == nil || req.Options == nil || req.Options.MaxObjectUpdates < 1 {
			return res
		}
		pc.updates = updatePages(*body.Res.Returnval, int(req.Options.MaxObjectUpdates))
	}
	page := pc.updates[0]
	pc.updates = pc.updates[1:]
	page.Truncated = types.NewBool(len(pc.updates) > 0)
	pc.pages++
	page.Version = fmt.Sprintf("%d", pc.pages)
	return &methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{Returnval: &page}}
}

// updatePages splits a set of updates into sets with up to `most` objects each.
func updatePages(set types.UpdateSet, most int) []types.UpdateSet {
	var pages []types.UpdateSet
	for _, filter := range set.FilterSet {
		for objects := filter.ObjectSet; len(objects) > 0; {
			n := most
			if n > len(objects) {
				n = len(objects)
			}
			part := types.PropertyFilterUpdate{Filter: filter.Filter, ObjectSet: objects[:n]}
			pages = append(pages, types.UpdateSet{FilterSet: []types.PropertyFilterUpdate{part}})
			objects = objects[n:]
		}
	}
	if len(pages) == 0 {
		pages = append(pages, set)
	}
	return pages
}

func (pc *pagingCollector) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	res := pc.PropertyCollector.RetrievePropertiesEx(ctx, req)
	body, ok := res.(*methods.RetrievePropertiesExBody)
	if ok && body.Res != nil && body.Res.Returnval != nil && req.Options.MaxObjects > 0 {
		body.Res.Returnval = pc.retrievePage(body.Res.Returnval.Objects, int(req.Options.MaxObjects))
	}
	return res
}

func (pc *pagingCollector) ContinueRetrievePropertiesEx(ctx *simulator.Context, req *types.ContinueRetrievePropertiesEx) soap.HasFault {
	body := new(methods.ContinueRetrievePropertiesExBody)
	pc.mu.Lock()
	rest, known := pc.rest[req.Token]
	delete(pc.rest, req.Token)
	pc.mu.Unlock()
	if !known {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: token", &types.InvalidArgument{InvalidProperty: "token"})
		return body
	}
	var most int
	_, _ = fmt.Sscanf(req.Token, "%d/", &most)
	body.Res = &types.ContinueRetrievePropertiesExResponse{Returnval: *pc.retrievePage(rest, most)}
	return body
}

// retrievePage is the first objects, and a token for the rest of them.
func (pc *pagingCollector) retrievePage(objects []types.ObjectContent, most int) *types.RetrieveResult {
	if len(objects) <= most {
		return &types.RetrieveResult{Objects: objects}
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	pc.pages++
	token := fmt.Sprintf("%d/%d", most, pc.pages)
	if pc.rest == nil {
		pc.rest = map[string][]types.ObjectContent{}
	}
	pc.rest[token] = objects[most:]
	return &types.RetrieveResult{Objects: objects[:most], Token: token}
}
