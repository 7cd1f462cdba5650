package detect

import (
	"errors"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/argv"
)

// loopback is where a web process listens: behind the proxy, and nowhere that
// the network could reach past it.
const loopback = "127.0.0.1:$PORT"

var (
	portDefault  = regexp.MustCompile(`\$\{PORT:-[0-9]*\}|\$\{PORT\}`)
	everyAddress = regexp.MustCompile(`(^|[\s=])(?:tcp://)?(?:0\.0\.0\.0|\[::\]|127\.0\.0\.1|localhost|\*)?:(?:[0-9]{2,5}|\$PORT)\b`)
	portOption   = regexp.MustCompile(`((?:^|\s)(?:--port|--http-port)[= ])[0-9]{2,5}\b`)
	hostOption   = regexp.MustCompile(`((?:^|\s)(?:--host|--hostname)[= ])(?:0\.0\.0\.0|\[?::\]?)`)
	gunicornWord = regexp.MustCompile(`(?:^|[\s/])gunicorn(?:\s|$)`)
	gunicornBind = regexp.MustCompile(`\s(?:-b|--bind)`)
	uvicornWord  = regexp.MustCompile(`(?:^|[\s/])uvicorn(?:\s|$)`)
	execWord     = regexp.MustCompile(`^\s*exec\s+`)
)

// webCommand changes a start command that was written for another place so
// that it listens where the proxy looks for it.
func webCommand(command string) string {
	command = portDefault.ReplaceAllLiteralString(execWord.ReplaceAllString(command, ""), "$PORT")
	command = everyAddress.ReplaceAllString(command, "${1}127.0.0.1:$$PORT")
	command = portOption.ReplaceAllString(command, "${1}$$PORT")
	command = hostOption.ReplaceAllString(command, "${1}127.0.0.1")
	switch {
	case gunicornWord.MatchString(command) && !gunicornBind.MatchString(command):
		command += " --bind " + loopback
	case uvicornWord.MatchString(command) && !strings.Contains(command, "--port"):
		command += " --port $PORT"
	}
	return strings.TrimSpace(command)
}

// needsShell returns why a command cannot be run as it is, or "".
func needsShell(command string) string {
	_, err := argv.Split(command)
	if e, ok := errors.AsType[*argv.Error](err); ok {
		return e.Message
	}
	return ""
}

// assignment is what a shell would set for one command.
var assignment = regexp.MustCompile(`^\s*([A-Za-z_]\w*)=([^\s"'$` + "`" + `]*)\s+`)

// cutAssignments takes NAME=VALUE off the front of a command: there is no
// shell to do it, but there is a place for variables.
func cutAssignments(command string) (rest string, vars []Var) {
	for {
		m := assignment.FindStringSubmatch(command)
		if m == nil {
			return command, vars
		}
		vars = append(vars, Var{m[1], m[2]})
		command = command[len(m[0]):]
	}
}
