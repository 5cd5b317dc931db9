// A vCenter for one machine: govmomi's simulator (0.24, as Debian packages it) with disks that hold bytes.
//
// In front of the simulator's own handlers stand those of this program: snapshots that freeze disks, changed-block tracking,
// credentials wherever vCenter asks for them, and faults on demand. The password comes in the environment (LAB_PASSWORD).
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io/ioutil"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"

	_ "github.com/vmware/govmomi/lookup/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/sts/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
)

func main() {
	esxi := flag.Bool("esxi", false, "be a single ESXi host")
	listen := flag.String("l", "127.0.0.1:0", "address")
	certificate := flag.String("tlscert", "", "file of the certificate chain")
	key := flag.String("tlskey", "", "file of the private key")
	user := flag.String("username", "", "who may log in, with the password in LAB_PASSWORD")
	owner := flag.Int("while", 0, "end when this process is gone")
	verbose := flag.Bool("v", false, "say what the simulator says")
	sizes := map[string]*int{}
	for name, usage := range map[string]string{
		"dc": "datacenters", "cluster": "clusters in each datacenter", "host": "hosts in each cluster", "standalone-host": "hosts in no cluster",
		"ds": "datastores", "pg": "distributed port groups", "vm": "VMs in each resource pool",
	} {
		sizes[name] = flag.Int(name, -1, usage)
	}
	flag.Parse()
	if !*verbose {
		log.SetOutput(ioutil.Discard)
	}

	model := simulator.VPX()
	if *esxi {
		model = simulator.ESX()
	}
	for name, field := range map[string]*int{
		"dc": &model.Datacenter, "cluster": &model.Cluster, "host": &model.ClusterHost, "standalone-host": &model.Host,
		"ds": &model.Datastore, "pg": &model.Portgroup, "vm": &model.Machine,
	} {
		if *sizes[name] >= 0 {
			*field = *sizes[name]
		}
	}
	if err := model.Create(); err != nil {
		fatal(err)
	}
	renameDatastores()
	for _, entity := range simulator.Map.All("VirtualMachine") {
		complete(entity.(*simulator.VirtualMachine))
	}
	simulator.Map.AddHandler(&newVMs{})
	installPaging()
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		fatal(err)
	}
	password := os.Getenv("LAB_PASSWORD")
	service := model.Service
	service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	service.RegisterEndpoints = true
	service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, password)}
	server := service.NewServer()
	server.Config.Handler = newFront(server.Config.Handler, *user, password)
	server.Config.ErrorLog = log.Default()
	address := *server.URL
	address.User = nil
	fmt.Println(address.String())

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	if *owner > 0 {
		go func() {
			for syscall.Kill(*owner, 0) != syscall.ESRCH {
				time.Sleep(time.Second)
			}
			ended <- syscall.SIGTERM
		}()
	}
	<-ended
	model.Remove()
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
