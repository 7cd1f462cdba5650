package config

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

// schemaID names the schema. Nothing is fetched from there: shiplock init
// writes the schema beside the file.
const schemaID = "https://github.com/shiplock/shiplock/shiplock.schema.json"

// Schema returns the JSON Schema of shiplock.yaml. It is made from the structs
// the decoder and the known plug-ins fill and is the same every time.
func Schema(known Known) []byte {
	s := inline(reflect.TypeFor[document]())
	if gates, ok := s.Properties.Get("gates"); ok {
		gates.PatternProperties = map[string]*jsonschema.Schema{namePattern.String(): gateSchema(known)}
	}
	s.Version = jsonschema.Version
	s.ID = schemaID
	s.Title = FileName
	s.Description = "How an app is released, run, checked and moved from one environment to the next."
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil // a schema is texts, numbers and maps: it can always be encoded
	}
	return b.Bytes()
}

// inline returns the schema of a type without definitions to refer to.
func inline(t reflect.Type) *jsonschema.Schema {
	r := jsonschema.Reflector{
		Anonymous:                  true,
		DoNotReference:             true,
		ExpandedStruct:             true,
		RequiredFromJSONSchemaTags: true,
		Mapper:                     ownSchema,
	}
	s := r.ReflectFromType(t)
	s.Version = ""
	return s
}

func textSchema(pattern string) *jsonschema.Schema {
	one := uint64(1)
	return &jsonschema.Schema{Type: "string", Pattern: pattern, MinLength: &one}
}

func anyOf(list ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: list}
}

func listOf(item *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: item}
}

func settingsSchema() *jsonschema.Schema { return &jsonschema.Schema{Type: "object"} }

// One schema for each scalar and each type that decodes itself.

func (plain) JSONSchema() *jsonschema.Schema       { return textSchema("") }
func (name) JSONSchema() *jsonschema.Schema        { return textSchema(namePattern.String()) }
func (flag) JSONSchema() *jsonschema.Schema        { return &jsonschema.Schema{Type: "boolean"} }
func (count) JSONSchema() *jsonschema.Schema       { return &jsonschema.Schema{Type: "integer"} }
func (duration) JSONSchema() *jsonschema.Schema    { return textSchema(durationSchema) }
func (percent) JSONSchema() *jsonschema.Schema     { return textSchema(`^[0-9]+(\.[0-9]+)?\s*%$`) }
func (projectPath) JSONSchema() *jsonschema.Schema { return textSchema(`^[^/~\\]`) }
func (pattern) JSONSchema() *jsonschema.Schema     { return textSchema(`^[^/~\\]`) }
func (urlPath) JSONSchema() *jsonschema.Schema     { return textSchema(`^/([^/]|$)`) }
func (assetPath) JSONSchema() *jsonschema.Schema   { return textSchema(`^/[^/].*/$`) }
func (userName) JSONSchema() *jsonschema.Schema    { return textSchema(userPattern.String()) }
func (server) JSONSchema() *jsonschema.Schema      { return textSchema(`^(ssh://|unix:///|/)`) }
func (toolSettings) JSONSchema() *jsonschema.Schema {
	return settingsSchema()
}

func (network) JSONSchema() *jsonschema.Schema { return textSchema(`^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`) }
func (size) JSONSchema() *jsonschema.Schema    { return textSchema(sizeSchema) }

func (listenAddress) JSONSchema() *jsonschema.Schema { return textSchema(`:[0-9]{1,5}$`) }

func (value) JSONSchema() *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "number"}, &jsonschema.Schema{Type: "boolean"})
}

func (command) JSONSchema() *jsonschema.Schema {
	return anyOf(textSchema(""), listOf(&jsonschema.Schema{Type: "string"}))
}

func (process) JSONSchema() *jsonschema.Schema {
	return anyOf(textSchema(""), listOf(&jsonschema.Schema{Type: "string"}), inline(reflect.TypeFor[processBlock]()))
}

func (variables) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:                 "object",
		PatternProperties:    map[string]*jsonschema.Schema{variablePattern.String(): value{}.JSONSchema()},
		AdditionalProperties: jsonschema.FalseSchema,
	}
}

func (platformKind) JSONSchema() *jsonschema.Schema {
	one := uint64(1)
	return anyOf(textSchema(""), &jsonschema.Schema{Type: "object", MinProperties: &one, MaxProperties: &one})
}

func (notifier) JSONSchema() *jsonschema.Schema {
	one, two := uint64(1), uint64(2)
	topic := &jsonschema.Schema{Type: "string"}
	for _, t := range topics {
		topic.Enum = append(topic.Enum, t)
	}
	properties := jsonschema.NewProperties()
	properties.Set("on", described(listOf(topic), "What to tell of. Default everything."))
	return &jsonschema.Schema{
		Type: "object", Properties: properties, MinProperties: &one, MaxProperties: &two,
		AdditionalProperties: described(anyOf(textSchema(""), &jsonschema.Schema{Type: "boolean"}, settingsSchema()),
			"Settings of the kind of notifier the key names; a text is its url."),
	}
}

func described(s *jsonschema.Schema, description string) *jsonschema.Schema {
	s.Description = description
	return s
}

// JSONSchema describes a mapping from names.
func (table[T]) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:                 "object",
		PatternProperties:    map[string]*jsonschema.Schema{namePattern.String(): inline(reflect.TypeFor[T]())},
		AdditionalProperties: jsonschema.FalseSchema,
	}
}

// JSONSchema describes a list or its only item.
func (oneOrMore[T]) JSONSchema() *jsonschema.Schema {
	item := inline(reflect.TypeFor[T]())
	return anyOf(item, listOf(item))
}
