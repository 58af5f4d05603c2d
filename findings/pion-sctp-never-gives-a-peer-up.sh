#!/usr/bin/env bash
# Expected: an association whose peer acknowledges nothing ends with an error after Association.Max.Retrans retransmissions, ten by
# default (RFC 9260 section 8.1), six minutes with the usual time-outs and two seconds with one of at most 200 ms.
# Found (pion/sctp 1.12.1): it retransmits for ever. Readers wait, writers write, nothing says that the peer is gone, and HEARTBEATs
# are sent for measuring only. Whoever uses it over anything but ICE, which notices by itself, needs a time limit of their own.
. "$(dirname "$0")/lib/common.sh"
command -v go >/dev/null || { echo "needs Go 1.24 or newer"; exit 2; }
cp "$(dirname "$0")/lib/pion/main.go" "$work/"
cd "$work"
export GOFLAGS=-modcacherw
go mod init finding >/dev/null 2>&1
go get github.com/pion/sctp@v1.12.1 github.com/pion/logging@v0.2.4 >/dev/null 2>&1
go version; go list -m github.com/pion/sctp
go build -o pair .
./pair | tee said
said() { grep -q "$1" said; }
many() { [ "$(sed -n 's/^packets sent to nobody: //p' said)" -gt 50 ]; }
expect "the association was up" said "the association is up"
expect "more than fifty packets later it still is" many
expect "and takes messages" said "still up; a further write returns <nil>"
