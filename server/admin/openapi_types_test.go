package admin_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// bodies are the types of what the admin API takes and answers. A new one goes in
// here; the types of their fields follow by themselves.
var bodies = []any{
	adminapi.AlertTest{}, adminapi.AlertsTested{}, adminapi.Cancelled{}, adminapi.Checked{}, adminapi.Connect{}, adminapi.ConnectBegun{}, adminapi.ConnectView{}, adminapi.Connected{}, adminapi.Costs{}, adminapi.NewConnect{}, adminapi.DeliveryView{}, adminapi.Envelope{}, adminapi.KeyChange{}, adminapi.KeyChanged{}, adminapi.ManagementToken{}, adminapi.NewToken{}, adminapi.NewWebhook{}, adminapi.Recover{}, adminapi.Rename{}, adminapi.ResendRequest{}, adminapi.Resent{}, adminapi.Missed{}, webhook.Change{},
	adminapi.Page[adminapi.SubscriptionView]{}, adminapi.Page[adminapi.TokenView]{}, adminapi.Page[adminapi.VehicleView]{}, adminapi.Page[adminapi.WebhookView]{}, adminapi.Page[adminapi.SourceView]{}, vehicle.Heard{}, vehicle.Discovery{}, adminapi.Page[adminapi.ListedDelivery]{}, adminapi.Page[vehicle.Point]{},
	adminapi.Status{}, adminapi.Subscribe{}, adminapi.Subscribed{}, adminapi.TokenAdded{}, adminapi.Unsubscribed{}, adminapi.Verified{}, adminapi.Version{},
	adminapi.WebhookAdded{}, adminapi.WebhookChange{}, adminapi.WebhookChanged{}, adminapi.WebhookView{}, vehicle.Snapshot{}, vehicle.Vehicle{}, webhook.Attempt{}, webhook.Delivery{}, webhook.Webhook{},
}

// schemaNames are the names in the document of types whose own name another has.
var schemaNames = map[reflect.Type]string{
	reflect.TypeFor[vehicle.Status]():         "VehicleStatus",
	reflect.TypeFor[health.BackupFacts]():     "Backups",
	reflect.TypeFor[health.AlertFacts]():      "AlertTarget",
	reflect.TypeFor[health.SourceFacts]():     "Source",
	reflect.TypeFor[health.CostFacts]():       "Cost",
	reflect.TypeFor[webhook.DataFile]():       "StoreInfo",
	reflect.TypeFor[vehicle.Problem]():        "SourceProblem",
	reflect.TypeFor[webhook.FileProblem]():    "Problem",
	reflect.TypeFor[webhook.SettingsChange](): "WebhookChange",
}

// The document and the Go types of bodies have the same fields: the same names,
// as required or optional, of the same kind, with the same closed sets of values.
// What is missing is printed as it has to be written.
func TestOpenAPIHasEveryField(t *testing.T) {
	doc, types := servertest.MustDocument(t), bodyTypes()
	for _, name := range slices.Sorted(maps.Keys(types)) {
		ref := doc.Components.Schemas[name]
		if ref == nil {
			t.Errorf("server/admin/openapi.yaml lacks the schema of %s; add under components.schemas:\n\n%s", types[name], stub(types[name]))
			continue
		}
		compareFields(t, name, types[name], ref.Value)
	}
	for name, ref := range doc.Components.Schemas {
		if types[name] == nil && (len(ref.Value.Properties) > 0 || len(ref.Value.AllOf) > 0) {
			t.Errorf("server/admin/openapi.yaml has the schema %s, which is no Go type: add the type to bodies in openapi_types_test.go, or remove the schema", name)
		}
	}
}

func compareFields(t *testing.T, name string, typ reflect.Type, schema *openapi3.Schema) {
	t.Helper()
	told, required := map[string]*openapi3.SchemaRef{}, map[string]bool{}
	servertest.Flatten(schema, told, required)
	for _, f := range fieldsOf(typ) {
		ref := told[f.name]
		if f.of != typ { // its own type is compared as well
			delete(told, f.name)
			continue
		}
		if ref == nil {
			t.Errorf("%s has the field %s, server/admin/openapi.yaml has not; add to properties of components.schemas.%s:\n\n%s", f.of, f.name, schemaName(f.of), f.line())
			continue
		}
		delete(told, f.name)
		if f.required != required[f.name] && !marshalsItself(typ) {
			t.Errorf("%s.%s: is required %v in Go and %v in server/admin/openapi.yaml: correct `required` of components.schemas.%s", f.of, f.name, f.required, required[f.name], schemaName(f.of))
		}
		if want, got := kindOf(f.typ), kindOfSchema(ref); want != got && want != "any" {
			t.Errorf("%s.%s is %s in Go and %s in server/admin/openapi.yaml; components.schemas.%s.properties should say:\n\n%s", f.of, f.name, want, got, schemaName(f.of), f.line())
		}
	}
	for field := range told {
		t.Errorf("server/admin/openapi.yaml has the field %s of %s, %s has not: remove it, or add it in Go", field, name, typ)
	}
}

// field is a field of a body's JSON.
type field struct {
	name     string
	of, typ  reflect.Type // the struct it stands in, its own type
	goName   string
	required bool
}

// line is the field as the document has it.
func (f field) line() string {
	text := schemaText(f.typ)
	if d := source().comment(f.of, f.goName); d != "" {
		text = strings.TrimSuffix(strings.Join([]string{text, "description: " + strconv.Quote(d)}, ", "), ", ")
		text = strings.TrimPrefix(text, ", ")
	}
	return "        " + f.name + ": {" + text + "}\n"
}

// fieldsOf returns the fields of a struct's JSON, those of embedded structs too.
func fieldsOf(t reflect.Type) (fields []field) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && name == "":
			fields = append(fields, fieldsOf(f.Type)...)
		default:
			optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
			fields = append(fields, field{name: name, of: t, typ: f.Type, goName: f.Name, required: !optional})
		}
	}
	return fields
}

func marshalsItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]())
}

// bodyTypes returns the structs of bodies, by their names in the document.
func bodyTypes() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch {
		case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
			walk(t.Elem())
		case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() && types[schemaName(t)] == nil:
			types[schemaName(t)] = t
			for f := range t.Fields() {
				if f.IsExported() && f.Tag.Get("json") != "-" {
					walk(f.Type)
				}
			}
		}
	}
	for _, b := range bodies {
		walk(reflect.TypeOf(b))
	}
	return types
}

// schemaName is the name of a struct in the document: VehicleViewPage for
// Page[VehicleView].
func schemaName(t reflect.Type) string {
	if name := schemaNames[t]; name != "" {
		return name
	}
	generic, arg, ok := strings.Cut(strings.TrimSuffix(t.Name(), "]"), "[")
	if !ok {
		return t.Name()
	}
	return arg[strings.LastIndexByte(arg, '.')+1:] + generic
}

// stub is a struct's schema as the document has it.
func stub(t reflect.Type) string {
	const indent = "      "
	text := "    " + schemaName(t) + ":\n"
	if d := source().comment(t, ""); d != "" {
		text += indent + "description: " + strconv.Quote(d) + "\n"
	}
	var parts, required []string
	for f := range t.Fields() {
		if f.Anonymous && f.Tag.Get("json") == "" {
			parts = append(parts, "{"+schemaText(f.Type)+"}")
		}
	}
	if len(parts) > 0 {
		text += indent + "allOf: [" + strings.Join(parts, ", ") + "]\n"
	}
	text += indent + "type: object\n"
	properties := ""
	for _, f := range fieldsOf(t) {
		if f.of != t {
			continue
		}
		if f.required && !marshalsItself(t) {
			required = append(required, f.name)
		}
		properties += f.line()
	}
	if len(required) > 0 {
		text += indent + "required: [" + strings.Join(required, ", ") + "]\n"
	}
	if properties != "" {
		text += indent + "properties:\n" + properties
	}
	return text
}

// schemaText is a type's schema as YAML on one line, without its braces.
func schemaText(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := kindOf(t)
	switch format, ok := strings.CutPrefix(kind, "string "); {
	case ok:
		return "type: string, format: " + format
	case kind == "any":
		return ""
	case kind == "bytes":
		return "type: string, contentEncoding: base64"
	case valuesOf(t) != nil:
		return "type: string, enum: [" + strings.Join(valuesOf(t), ", ") + "]"
	case t.Kind() == reflect.Struct:
		return `$ref: "#/components/schemas/` + schemaName(t) + `"`
	case t.Kind() == reflect.Slice:
		return "type: array, items: {" + schemaText(t.Elem()) + "}"
	case t.Kind() == reflect.Map:
		return "type: object, additionalProperties: {" + schemaText(t.Elem()) + "}"
	}
	return "type: " + kind
}

// kindOf and kindOfSchema say what a value is in one word or a few, the same for
// the same.
func kindOf(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return "string date-time"
	case reflect.TypeFor[uuid.UUID]():
		return "string uuid"
	case reflect.TypeFor[json.RawMessage]():
		return "any"
	case reflect.TypeFor[[]byte]():
		return "bytes"
	}
	if values := valuesOf(t); values != nil {
		return "one of " + strings.Join(values, ", ")
	}
	switch t.Kind() {
	case reflect.Uint64:
		if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return "string" // a cursor
		}
	case reflect.Struct:
		return schemaName(t)
	case reflect.Slice:
		return "list of " + kindOf(t.Elem())
	case reflect.Map:
		return "object of " + kindOf(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Float64:
		return "number"
	}
	return "integer"
}

func kindOfSchema(ref *openapi3.SchemaRef) string {
	s := ref.Value
	switch {
	case len(s.Properties) > 0 || len(s.AllOf) > 0:
		return ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
	case s.Type == nil:
		return "any"
	case s.Type.Is("array"):
		return "list of " + kindOfSchema(s.Items)
	case s.Type.Is("object") && s.AdditionalProperties.Schema != nil:
		return "object of " + kindOfSchema(s.AdditionalProperties.Schema)
	case s.ContentEncoding == "base64":
		return "bytes"
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		return "one of " + strings.Join(values, ", ")
	case s.Type.Is("string") && s.Format != "":
		return "string " + s.Format
	}
	return strings.Join(*s.Type, " or ")
}

// valuesOf returns the texts of a closed set in the order they are declared, nil
// for other types.
func valuesOf(t reflect.Type) []string {
	if t.Kind() == reflect.String {
		return source().values[t.String()]
	}
	if t.Kind() != reflect.Uint8 || !t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return nil
	}
	var values []string
	for n := range uint64(64) {
		v, back := reflect.New(t), reflect.New(t)
		v.Elem().SetUint(n)
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err == nil && back.Interface().(encoding.TextUnmarshaler).UnmarshalText(text) == nil && back.Elem().Uint() == n {
			values = append(values, string(text))
		}
	}
	return values
}

// spoken is what the sources of the bodies' packages say that reflection does not.
type spoken struct {
	comments map[string]string   // of types and fields, "adminapi.Status.Ready"
	values   map[string][]string // of string types with constants, "webhook.State"
}

var source = sync.OnceValue(func() spoken {
	s := spoken{map[string]string{}, map[string][]string{}}
	for _, dir := range []string{"../../vehicle", "../../webhook", "../../health", "../../adminapi", "../../access"} {
		names, _ := filepath.Glob(dir + "/*.go")
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				panic(err)
			}
			for _, d := range file.Decls {
				if g, ok := d.(*ast.GenDecl); ok {
					s.add(file.Name.Name+".", g)
				}
			}
		}
	}
	return s
})

// comment is what Go says of a type or of a field of it, with the names of JSON.
func (s spoken) comment(t reflect.Type, field string) string {
	name, _, _ := strings.Cut(t.String(), "[")
	if field == "" {
		return headless(s.comments[name], strings.TrimPrefix(name, strings.Split(name, ".")[0]+"."))
	}
	words := strings.Fields(s.comments[name+"."+field])
	for i, w := range words {
		for _, f := range fieldsOf(t) {
			if strings.TrimRight(w, ".,;:") == f.goName && (i > 0 || f.goName == field) {
				words[i] = f.name + strings.TrimPrefix(w, f.goName)
			}
		}
	}
	text := strings.Join(words, " ")
	for _, f := range fieldsOf(t) {
		if f.goName == field {
			text = headless(text, f.name)
		}
	}
	return text
}

// headless takes the name off the head of a comment, "Name is what".
func headless(text, name string) string {
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(text, name+verb); ok && rest != "" {
			return strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	return text
}

func (s spoken) add(pkg string, g *ast.GenDecl) {
	text := func(groups ...*ast.CommentGroup) string {
		for _, c := range groups {
			if c != nil {
				return strings.Join(strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(c.Text())), " ")
			}
		}
		return ""
	}
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.comments[pkg+spec.Name.Name] = text(spec.Doc, g.Doc)
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, name := range f.Names {
						s.comments[pkg+spec.Name.Name+"."+name.Name] = text(f.Doc, f.Comment)
					}
				}
			}
		case *ast.ValueSpec:
			typ, ok := spec.Type.(*ast.Ident)
			if g.Tok != token.CONST || !ok || len(spec.Values) != 1 {
				continue
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, _ := strconv.Unquote(lit.Value)
				s.values[pkg+typ.Name] = append(s.values[pkg+typ.Name], value)
			}
		}
	}
}
