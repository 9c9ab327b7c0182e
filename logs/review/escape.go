package review

import (
	"reflect"

	"postern/logs"
)

// escapeTexts escapes every text in a value, field by field and item by item:
// what peers said must not reach a terminal as it is. Sessions are left alone,
// which are escaped by whoever prints them.
func escapeTexts(v any) { escapeValue(reflect.ValueOf(v)) }

func escapeValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if _, ok := v.Interface().(*Session); !ok && !v.IsNil() {
			escapeValue(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				escapeValue(f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			escapeValue(v.Index(i))
		}
	case reflect.String:
		v.SetString(logs.Escape(v.String()))
	}
}
