package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/shlex"
	"go.yaml.in/yaml/v4"
)

// The types with more than one form. Each reads itself and describes itself to
// the schema, side by side so that they stay the same.

// Keys returns the names in order.
func (m StringMap) Keys() []string {
	return slices.Sorted(maps.Keys(m))
}

func (l *StringList) read(d *decoder, at place) {
	switch {
	case at.node.Kind == yaml.MappingNode:
		d.wrong(at, "a value or a list", "write it as a list: [a, b]")
		return
	case at.node.Tag == "!!bool":
		d.wrong(at, "a value or a list", "the text goes in quotes: "+quote(at.node.Value))
		return
	case at.node.Kind == yaml.ScalarNode:
		if text, ok := d.scalar(at); ok {
			*l = StringList{text}
		}
		return
	}
	var list []string
	d.list(reflect.ValueOf(&list).Elem(), at)
	*l = list
}

func (StringList) schema(f field) object {
	one := textSchema(f.rule)
	alone := maps.Clone(one)
	alone["type"] = []string{"string", "number"}
	return object{"anyOf": []object{alone, listSchema(one, f.min)}}
}

func (c *Command) read(d *decoder, at place) {
	if isText(at.node) {
		d.refuseShell(at)
		return
	}
	var list []string
	d.list(reflect.ValueOf(&list).Elem(), at)
	if len(list) > 0 && at.min > 0 && list[0] == "" {
		d.add(d.spec.Range(at.path+"[0]"), at.path+": the program's name is empty", "the first entry is the program, by its path")
	}
	*c = list
}

func (Command) schema(f field) object { return listSchema(textSchema(f.rule), f.min) }

func (c *BuildCommand) read(d *decoder, at place) {
	if at.node.Kind != yaml.SequenceNode && !isText(at.node) {
		d.wrong(at, "a command", "write a text, or a list of the program and its arguments")
		return
	}
	if at.node.Kind == yaml.ScalarNode {
		text := at.node.Value
		if strings.TrimSpace(text) == "" {
			d.add(d.source.node(at.node), at.path+" is empty", "write a command, or remove the line")
			return
		}
		*c = BuildCommand{"/bin/sh", "-c", text}
		return
	}
	at.min, at.rule = 1, ""
	var list []string
	d.list(reflect.ValueOf(&list).Elem(), at)
	if len(list) > 0 && list[0] == "" {
		d.add(d.spec.Range(at.path+"[0]"), at.path+": the program's name is empty", "the first entry is the program")
	}
	*c = list
}

func (BuildCommand) schema(field) object {
	return object{"anyOf": []object{{"type": "string", "pattern": `\S`}, listSchema(textSchema(""), 1)}}
}

// shellSyntax is what a shell would act on.
var shellSyntax = regexp.MustCompile("&&|\\|\\||[|;<>&`*?]|\\$[A-Za-z_{(][A-Za-z0-9_]*")

// refuseShell reports a command that is a string, with the list to write.
func (d *decoder) refuseShell(at place) {
	text := at.node.Value
	message := at.path + " is a shell command, and there is no shell"
	var list []string
	if json.Unmarshal([]byte(text), &list) == nil && len(list) > 0 {
		d.add(d.source.node(at.node), at.path+" is a list in quotes", "write it without them: "+commandText(list))
		return
	}
	if found := shellSyntax.FindString(text); found != "" {
		d.add(d.source.node(at.node), message,
			fmt.Sprintf("nothing acts on %s: do it in the program, and write the program and its arguments as a list", quote(found)))
		return
	}
	list, err := shlex.Split(text)
	if err != nil || len(list) == 0 {
		d.add(d.source.node(at.node), message, `write the program and its arguments as a list: ["program", "argument"]`)
		return
	}
	d.add(d.source.node(at.node), message, "write: "+commandText(list))
}

// commandText is a command as YAML, cut when it is long.
func commandText(list []string) string {
	const most = 12
	var quoted []string
	for i, word := range list {
		if i == most {
			quoted = append(quoted, "…")
			break
		}
		quoted = append(quoted, quote(word))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func (s *Secret) read(d *decoder, at place) {
	if at.node.Kind == yaml.SequenceNode {
		d.wrong(at, "an id or a mapping", "write NAME or {id: NAME}, an entry for each")
		return
	}
	if at.node.Kind != yaml.ScalarNode {
		d.structure(reflect.ValueOf(s).Elem(), at)
		if at.node.Kind == yaml.MappingNode && !d.spec.Has(at.path+".id") {
			d.add(d.source.node(at.node), at.path+" has no id", "write the id that --secret id= gives: {id: NAME}")
		}
		return
	}
	at.rule = "id"
	id, bad := rules[at.rule].apply(at.node.Value)
	if bad == nil {
		s.ID = id
		return
	}
	hint := bad.hint
	if strings.Contains(at.node.Value, "=") {
		hint = "options are keys here: {id: NAME, env: VARIABLE} or {id: NAME, target: /run/file}"
	}
	d.add(d.source.node(at.node), fmt.Sprintf("%s: %s %s", at.path, quote(at.node.Value), bad.message), hint)
}

func (Secret) schema(field) object {
	type keys Secret // Without this method.
	full := structSchema(reflect.TypeFor[keys]())
	full["required"] = []string{"id"}
	full["not"] = object{"required": []string{"env", "target"}}
	return object{"anyOf": []object{textSchema("id"), full}}
}

func (s *SSH) read(d *decoder, at place) {
	if on, is := d.orBoolean(at); is {
		if on {
			*s = "default"
		}
		return
	}
	if !isText(at.node) {
		d.wrong(at, "true or the id of an agent", booleanHint(at.node, "write: ssh: true"))
		return
	}
	at.rule = "id"
	if id, ok := d.scalar(at); ok {
		*s = SSH(id)
	}
}

func (SSH) schema(field) object {
	schema := textSchema("id")
	schema["type"] = []string{"string", "boolean"}
	return schema
}

func (c *Copy) read(d *decoder, at place) {
	const form = "source:/target or source:/target:mode"
	if at.node.Kind != yaml.ScalarNode {
		hint := "write " + form
		if n := at.node; n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Kind == yaml.ScalarNode && n.Content[1].Kind == yaml.ScalarNode {
			hint = "write it without the blank behind the colon: " + plain(n.Content[0].Value+":"+n.Content[1].Value)
		}
		d.wrong(at, form, hint)
		return
	}
	wrong := func(what string, bad *complaint) {
		d.add(d.source.node(at.node), fmt.Sprintf("%s: the %s %s", at.path, what, bad.message), bad.hint)
	}
	parts := strings.Split(at.node.Value, ":")
	if len(parts) < 2 || len(parts) > 3 {
		hint := "write " + form
		if relative(at.node.Value) == nil && len(parts) == 1 {
			hint = "say where it goes in the image: " + plain(at.node.Value+":/"+path.Base(at.node.Value))
		}
		d.add(d.source.node(at.node), fmt.Sprintf("%s: %s is not %s", at.path, quote(at.node.Value), form), hint)
		return
	}
	if bad := relative(parts[0]); bad != nil {
		wrong("source "+quote(parts[0]), bad)
	} else if strings.ContainsAny(parts[0], "*?[") {
		wrong("source "+quote(parts[0]), &complaint{"is a pattern", "name one file, or a directory: its content is copied"})
	} else {
		c.Source = path.Clean(parts[0])
	}
	target, bad := absolute(parts[1])
	if bad == nil && kernelDir.MatchString(target) {
		bad = &complaint{"is where the kernel's files are when the image runs", "choose another directory"}
	}
	if bad != nil {
		wrong("target "+quote(parts[1]), bad)
	} else {
		c.Target = target
	}
	if len(parts) == 3 {
		mode, err := strconv.ParseUint(parts[2], 8, 32)
		switch {
		case err != nil || len(parts[2]) < 3 || len(parts[2]) > 4:
			wrong("mode "+quote(parts[2]), &complaint{"is not octal", "write permission bits such as 0644 or 0755"})
		case mode > 0o777:
			wrong("mode "+quote(parts[2]), &complaint{"has setuid, setgid or sticky bits", fmt.Sprintf("an image has no use for them; write: %04o", mode&0o777)})
		default:
			bits := uint32(mode)
			c.Mode = &bits
		}
	}
}

// kernelDir are directories that are mounted over in a container.
var kernelDir = regexp.MustCompile(`^/(proc|sys|dev)(/|$)`)

func (Copy) schema(field) object {
	return object{"type": "string", "pattern": `^[^:/\\*?\[][^:\\*?\[]*:/[^:\\]*(:0?[0-7]{3})?$`, "not": object{"pattern": `(^|[:/])\.\.([:/]|$)`}}
}

var (
	portText  = regexp.MustCompile(`^([1-9][0-9]{0,4})(/(tcp|udp))?$`)
	hostPort  = regexp.MustCompile(`^(?:.*:)?[0-9-]*:([0-9]+(?:/(?:tcp|udp))?)$`)
	portRange = regexp.MustCompile(`^([0-9]+)-([0-9]+)(/(?:tcp|udp))?$`)
)

func (p *Port) read(d *decoder, at place) {
	const form = "a port (1–65535, or 1–65535/udp)"
	if at.node.Kind != yaml.ScalarNode {
		hint := "write the port that the program listens on: 8080"
		if n := at.node; n.Kind == yaml.MappingNode && len(n.Content) == 2 && hostPort.MatchString(n.Content[0].Value+":"+n.Content[1].Value) {
			hint = "the left is a port of the host, which docker run -p takes; write: " + n.Content[1].Value
		}
		d.wrong(at, form, hint)
		return
	}
	text := at.node.Value
	if m := portText.FindStringSubmatch(text); m != nil {
		if number, _ := strconv.Atoi(m[1]); number <= 65535 {
			if m[3] == "" {
				m[3] = "tcp"
			}
			*p = Port(m[1] + "/" + m[3])
			return
		}
	}
	hint := ""
	if m := hostPort.FindStringSubmatch(text); m != nil {
		hint = "the left is a port of the host, which docker run -p takes; write: " + m[1]
	} else if m := portRange.FindStringSubmatch(text); m != nil {
		hint = fmt.Sprintf("write each port of the range: [%s%s, …, %s%s]", m[1], m[3], m[2], m[3])
	}
	d.add(d.source.node(at.node), fmt.Sprintf("%s: %s is not %s", at.path, shorten(printable(text)), form), hint)
}

func (Port) schema(field) object {
	return object{"type": []string{"integer", "string"}, "minimum": 1, "maximum": 65535, "pattern": portText.String()}
}

func (g *Generate) read(d *decoder, at place) {
	if on, is := d.orBoolean(at); is {
		if on {
			*g = Generate{"./..."}
		}
		return
	}
	if at.node.Kind != yaml.SequenceNode && !isText(at.node) {
		d.wrong(at, "true, a package or a list of packages", booleanHint(at.node, "write true, or packages such as ./internal/gen"))
		return
	}
	var list StringList
	list.read(d, at)
	*g = Generate(list)
}

func (Generate) schema(f field) object {
	one := textSchema(f.rule)
	alone := maps.Clone(one)
	alone["type"] = "string"
	return object{"anyOf": []object{{"type": "boolean"}, alone, listSchema(one, f.min)}}
}

func (s *Static) read(d *decoder, at place) {
	if _, is := d.orBoolean(at); is {
		return
	}
	if at.node.Kind == yaml.MappingNode {
		d.structure(reflect.ValueOf(s).Elem(), at)
		return
	}
	if at.node.Kind != yaml.ScalarNode || !isText(at.node) {
		d.wrong(at, "true, a folder or a mapping", booleanHint(at.node, "write true, the folder, or {dir: dist, fallback: index.html}"))
		return
	}
	at.rule = "folder"
	s.Dir, _ = d.scalar(at)
}

func (Static) schema(field) object {
	type keys Static // Without this method.
	return object{"anyOf": []object{{"type": "boolean"}, textSchema("folder"), structSchema(reflect.TypeFor[keys]())}}
}

func (b *Bundle) read(d *decoder, at place) {
	if _, is := d.orBoolean(at); is {
		return
	}
	if at.node.Kind != yaml.SequenceNode {
		d.wrong(at, "true or a list", booleanHint(at.node, "write true, or packages: [express]"))
		return
	}
	at.min = 1
	b.Packages.read(d, at)
}

func (Bundle) schema(f field) object {
	return object{"anyOf": []object{{"type": "boolean"}, listSchema(textSchema(f.rule), 1)}}
}

func (j *JLink) read(d *decoder, at place) {
	if on, is := d.orBoolean(at); is {
		j.Off = !on
		return
	}
	if at.node.Kind != yaml.SequenceNode {
		d.wrong(at, "true, false or a list", booleanHint(at.node, "write false, or the modules: [java.base, java.sql]"))
		return
	}
	at.min = 1
	j.Modules.read(d, at)
}

func (JLink) schema(f field) object {
	return object{"anyOf": []object{{"type": "boolean"}, listSchema(textSchema(f.rule), 1)}}
}

func (s *Switch) read(d *decoder, at place) {
	s.On, s.Set = d.boolean(at, "write true or false")
}

func (Switch) schema(field) object { return object{"type": "boolean"} }

func (t *Test) read(d *decoder, at place) {
	if _, is := d.orBoolean(at); is {
		return
	}
	if at.node.Kind != yaml.SequenceNode && !isText(at.node) {
		d.wrong(at, "true or a command", booleanHint(at.node, `write true, or the command as a list: ["program", "argument"]`))
		return
	}
	at.min = 1
	var command Command
	command.read(d, at)
	t.Command = command
}

func (Test) schema(field) object {
	return object{"anyOf": []object{{"type": "boolean"}, listSchema(textSchema(""), 1)}}
}

var durationText = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)

func (v *Duration) read(d *decoder, at place) {
	if at.node.Kind != yaml.ScalarNode {
		d.wrong(at, "a duration", "write: 30s")
		return
	}
	text, least := at.node.Value, durationRules[at.rule]
	duration, err := time.ParseDuration(text)
	if err != nil || !durationText.MatchString(text) {
		hint := "write a number with its unit, such as 500ms, 30s or 1m30s"
		if decimal.MatchString(text) && text[0] != '-' {
			hint = "write it with its unit: " + text + "s"
		}
		d.add(d.source.node(at.node), fmt.Sprintf("%s: %s is not a duration", at.path, quote(text)), hint)
		return
	}
	if duration < least || duration > maxDuration {
		d.add(d.source.node(at.node), fmt.Sprintf("%s: %s is too %s", at.path, text, map[bool]string{true: "short", false: "long"}[duration < least]),
			fmt.Sprintf("write a duration from %s to 24h", least))
		return
	}
	*v = Duration(duration)
}

func (Duration) schema(field) object {
	return object{"type": "string", "pattern": durationText.String()}
}

// printable is text from the file without quotes, where there is nothing in it
// that needs them.
func printable(text string) string {
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` || text == "" {
		return quoted
	}
	return text
}
