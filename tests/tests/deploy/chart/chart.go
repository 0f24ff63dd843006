// Renders the Helm chart as Helm does, with Go's own template engine and the functions of sprig,
// and prints the objects as JSON, so that a test can look at them.
//
//	chart render CHART RELEASE NAMESPACE < values.json   the chart's objects
//	chart read < objects.yaml                            what is in a YAML file of several documents
//
// It knows what the chart uses: include, toYaml, fromYaml, lookup (which finds nothing, as in `helm template`),
// .Files, .Template. Built with Debian's packages golang-go, golang-github-masterminds-sprig-dev and
// golang-k8s-sigs-yaml-dev, outside of modules.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func main() {
	documents, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(documents); err != nil {
		panic(err)
	}
}

func run(words []string) ([]any, error) {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	if len(words) == 1 && words[0] == "read" {
		return parse("stdin", string(input))
	}
	if len(words) == 4 && words[0] == "render" {
		return render(words[1], words[2], words[3], input)
	}
	return nil, fmt.Errorf("render CHART RELEASE NAMESPACE, or read")
}

func render(chart, release, namespace string, given []byte) ([]any, error) {
	top, err := values(chart, release, namespace, given)
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	root := engine()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if _, err := root.New(named(path)).Parse(string(text)); err != nil {
			return nil, err
		}
	}
	documents := []any{}
	for _, path := range paths {
		var text strings.Builder
		top["Template"] = map[string]any{"Name": named(path), "BasePath": "warren/templates"}
		if err := root.ExecuteTemplate(&text, named(path), top); err != nil {
			return nil, err
		}
		// Partials define, notes are for people.
		if filepath.Ext(path) != ".yaml" {
			continue
		}
		more, err := parse(path, text.String())
		if err != nil {
			return nil, err
		}
		documents = append(documents, more...)
	}
	return documents, nil
}

func named(path string) string {
	return "warren/templates/" + filepath.Base(path)
}

// What templates see as the dot.
func values(chart, release, namespace string, given []byte) (map[string]any, error) {
	about, err := load(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	defaults, err := load(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	more := map[string]any{}
	if err := json.Unmarshal(given, &more); err != nil {
		return nil, err
	}
	// As in Helm, fields of the chart have capitals.
	upper := map[string]any{}
	for key, value := range about {
		upper[strings.ToUpper(key[:1])+key[1:]] = value
	}
	return map[string]any{
		"Chart":  upper,
		"Values": merge(defaults, more),
		"Release": map[string]any{
			"Name": release, "Namespace": namespace, "Service": "Helm", "Revision": 1,
			"IsInstall": true, "IsUpgrade": false,
		},
		"Files": files{chart},
	}, nil
}

func load(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]any{}
	return found, yaml.Unmarshal(text, &found)
}

// What is given wins; objects are merged; null takes a default away.
func merge(defaults, given map[string]any) map[string]any {
	merged := map[string]any{}
	for key, value := range defaults {
		merged[key] = value
	}
	for key, value := range given {
		inner, isMap := value.(map[string]any)
		below, wasMap := merged[key].(map[string]any)
		switch {
		case value == nil:
			delete(merged, key)
		case isMap && wasMap:
			merged[key] = merge(below, inner)
		default:
			merged[key] = value
		}
	}
	return merged
}

func engine() *template.Template {
	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	// Helm takes them away, so that a chart cannot read the machine that renders it.
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["include"] = func(name string, data any) (string, error) {
		var text strings.Builder
		err := root.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["toYaml"] = func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["fromYaml"] = func(text string) (map[string]any, error) {
		found := map[string]any{}
		return found, yaml.Unmarshal([]byte(text), &found)
	}
	functions["lookup"] = func(_, _, _, _ string) map[string]any { return map[string]any{} }
	return root.Funcs(functions)
}

// The chart's other files.
type files struct{ chart string }

func (f files) Get(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(f.chart, path))
	return string(text), err
}

func (f files) Glob(pattern string) (map[string]string, error) {
	found := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(f.chart, pattern))
	for _, path := range paths {
		inside, err := filepath.Rel(f.chart, path)
		if err != nil {
			return nil, err
		}
		found[inside] = path
	}
	return found, err
}

func parse(path, text string) ([]any, error) {
	documents := []any{}
	for _, part := range strings.Split("\n"+text, "\n---") {
		if len(bytes.TrimSpace([]byte(part))) == 0 {
			continue
		}
		var document any
		if err := yaml.UnmarshalStrict([]byte(part), &document); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", path, err, part)
		}
		// Comments alone are nothing.
		if document != nil {
			documents = append(documents, document)
		}
	}
	return documents, nil
}
