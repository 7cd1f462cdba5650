package config

import (
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A projectPath is a file or folder within the project.
type projectPath struct{ plain }

func (v *projectPath) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	clean := path.Clean(v.Text)
	switch {
	case path.IsAbs(v.Text), strings.HasPrefix(v.Text, "~"), strings.ContainsRune(v.Text, '\\'):
		d.report(v.At, "", "%q is not a path relative to the project", v.Text)
	case leaves(v.Text):
		d.report(v.At, "", "%q leads out of the project", v.Text)
	case clean == ".":
		d.report(v.At, "", "%q is the whole project", v.Text)
	default:
		v.Text = clean
		return
	}
	v.Text = ""
}

// leaves tells whether any element of p goes up. A path that comes back is
// refused too: what lies between may be a link.
func leaves(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// A pattern names files within the project: a path, which may have * and ? in
// it, and a slash at the end for a folder.
type pattern struct{ plain }

func (v *pattern) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	_, err := path.Match(v.Text, "")
	switch {
	case path.IsAbs(v.Text), strings.HasPrefix(v.Text, "~"), strings.ContainsRune(v.Text, '\\'):
		d.report(v.At, "", "%q is not a pattern relative to the project", v.Text)
	case leaves(v.Text):
		d.report(v.At, "", "%q leads out of the project", v.Text)
	case err != nil:
		d.report(v.At, "", "%q is not a pattern: a bracket is not closed", v.Text)
	}
}

// A hostFile is a file on the machine, absolute or relative to the
// configuration's folder.
type hostFile struct{ plain }

func (v hostFile) in(dir string) string {
	if v.Text == "" || filepath.IsAbs(v.Text) {
		return v.Text
	}
	return filepath.Join(dir, v.Text)
}

// A urlPath is the path of a request, with or without a query.
type urlPath struct{ plain }

const maxURLPath = 2048

func (v *urlPath) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	u, err := url.ParseRequestURI(v.Text)
	switch {
	case !strings.HasPrefix(v.Text, "/"):
		suggestion := ""
		if !strings.Contains(v.Text, ":") {
			suggestion = "did you mean \"/" + v.Text + "\"?"
		}
		d.report(v.At, suggestion, "the path %q does not begin with a slash", v.Text)
	case strings.HasPrefix(v.Text, "//"), err != nil || u.Host != "", strings.ContainsAny(v.Text, " #\\"):
		d.report(v.At, "", "%q is not the path of a request", v.Text)
	case len(v.Text) > maxURLPath:
		d.report(v.At, "", "the path is longer than %d characters", maxURLPath)
	}
}

// An assetPath is the beginning of the paths of static files.
type assetPath struct{ urlPath }

func (v *assetPath) decode(d *decoder, n ast.Node) {
	v.urlPath.decode(d, n)
	if v.Text == "" {
		return
	}
	if v.Text == "/" || !strings.HasSuffix(v.Text, "/") || strings.ContainsAny(v.Text, "?%") {
		d.report(v.At, "write it like /static/", "%q is not the folder of an app's static files", v.Text)
	}
}

// A host is the name requests are for, without a port.
type host struct{ plain }

var hostPattern = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (v *host) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	lower := strings.ToLower(strings.TrimSuffix(v.Text, "."))
	if addr, err := netip.ParseAddr(strings.Trim(lower, "[]")); err == nil {
		v.Text = addr.String()
		return
	}
	switch {
	case strings.Contains(lower, "://"):
		d.report(v.At, "", "%q is a URL, not a host", v.Text)
	case strings.Contains(lower, ":"):
		d.report(v.At, "write the port under listen", "the host %q has a port", v.Text)
	case strings.Contains(lower, "*"):
		d.report(v.At, "leave hosts out to take every host", "the host %q has a wildcard", v.Text)
	case len(lower) > 253 || !hostPattern.MatchString(lower):
		d.report(v.At, "", "%q is not the name of a host", v.Text)
	default:
		v.Text = lower
	}
}

// A listenAddress is where the proxy takes requests: address and port.
type listenAddress struct{ plain }

func (v *listenAddress) decode(d *decoder, n ast.Node) {
	if i, ok := n.(*ast.IntegerNode); ok {
		d.report(spotOf(n), "did you mean 127.0.0.1:"+i.Token.Value+"?", "expected an address and a port, found a number")
		return
	}
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	address, port, ok := cutPort(v.Text)
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case !ok || err != nil || number == 0:
		d.report(v.At, "", "%q is not an address and a port such as 127.0.0.1:8080 or :443", v.Text)
	case address == "" || address == "localhost":
	default:
		if _, err := netip.ParseAddr(strings.Trim(address, "[]")); err != nil {
			d.report(v.At, "", "%q is not an IP address to listen on; names of requests go under hosts", address)
		}
	}
}

// cutPort splits host:port at its last colon.
func cutPort(s string) (address, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	address, port = s[:i], s[i+1:]
	if strings.Contains(address, ":") && !(strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]")) {
		return s, "", false
	}
	return address, port, true
}

// A userName is an account of the machine.
type userName struct{ plain }

var userPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

func (v *userName) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text != "" && !userPattern.MatchString(v.Text) {
		d.report(v.At, "", "%q is not the name of a user", v.Text)
	}
}

// A branch is a branch of the project's repository.
type branch struct{ plain }

var branchPattern = regexp.MustCompile(`^[\p{L}\p{N}_][\p{L}\p{N}_./+#@-]{0,199}$`)

func (v *branch) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	if !branchPattern.MatchString(v.Text) || strings.Contains(v.Text, "..") || strings.Contains(v.Text, "@{") ||
		strings.Contains(v.Text, "//") || strings.HasSuffix(v.Text, "/") || strings.HasSuffix(v.Text, ".lock") {
		d.report(v.At, "", "%q is not the name of a branch", v.Text)
	}
}

// A server is where the control plane is: ssh://user@host, or a unix socket.
type server struct{ plain }

func (v *server) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text != "" {
		if why := checkServer(v.Text); why != "" {
			d.report(v.At, "", "%s", why)
			v.Text = ""
		}
	}
}

// checkServer says what is wrong with the address of a server, or "".
func checkServer(s string) string {
	if rest, ok := strings.CutPrefix(s, "unix://"); ok && strings.HasPrefix(rest, "/") || strings.HasPrefix(s, "/") {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" {
		return "the server is ssh://user@host or the path of a unix socket"
	}
	if _, ok := u.User.Password(); ok {
		return "the address of the server holds a password; use a key"
	}
	// ssh takes what begins with a dash for an option.
	if strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-") || u.RawQuery != "" || u.Fragment != "" {
		return "the address of the server is not ssh://user@host"
	}
	if _, bad := controlIn(u.User.Username() + u.Hostname() + u.Path); bad {
		return "the address of the server has a control character"
	}
	return ""
}

// A network is an address, or a range of addresses in CIDR form.
type network struct{ plain }

func (v *network) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	prefix, err := netip.ParsePrefix(v.Text)
	if ip, ipErr := netip.ParseAddr(v.Text); ipErr == nil && ip.Zone() == "" {
		prefix, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	switch {
	case err != nil:
		d.report(v.At, "", "%q is not a network such as 10.0.0.0/8 or an address", v.Text)
	case prefix.Bits() == 0:
		d.report(v.At, "name the proxies' networks", "%q is everybody: any client could claim any address", v.Text)
	default:
		v.Text = prefix.Masked().String()
		return
	}
	v.Text = ""
}
