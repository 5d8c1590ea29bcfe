// Package classfile reads of a Java class file what says where the class can run:
// its version, what it refers to, and whether it has a main method. The format is
// in chapter 4 of the Java Virtual Machine Specification.
package classfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Class is what a class file says. It refers to the bytes that it was read of.
type Class struct {
	// Major is 44 more than the version of Java that the class is for; see Java.
	Major int
	// Preview says that it uses features that only this one version has, and only
	// when it is told to.
	Preview bool
	// Name and Super are names as in class files: com/example/Main. Super is ""
	// for java/lang/Object and for the description of a module.
	Name, Super string
	// Main says that it has `public static void main(String[])`.
	Main bool
	// InstanceMain says that it has no such method but one that Java 25 starts as
	// well: not static, not public or without arguments
	// (https://openjdk.org/jeps/512).
	InstanceMain bool
	// Module is the description of a module, of module-info alone.
	Module *Module

	data []byte
	// at are the places of the constants in data, 0 for none.
	at []uint32
}

// Module is what module-info says.
type Module struct {
	Name string
	// Requires are the modules that it needs when it runs.
	Requires []string
}

// Java is the version of Java that reads class files of a major version: 21 of 65.
func Java(major int) int { return major - 44 }

// Major is the newest major version of class files that a version of Java reads.
func Major(java int) int { return java + 44 }

var errCut = errors.New("it is cut off")

// The kinds of constants, section 4.4.
const (
	kindUtf8          = 1
	kindInteger       = 3
	kindFloat         = 4
	kindLong          = 5
	kindDouble        = 6
	kindClass         = 7
	kindString        = 8
	kindField         = 9
	kindMethod        = 10
	kindInterface     = 11
	kindNameAndType   = 12
	kindMethodHandle  = 15
	kindMethodType    = 16
	kindDynamic       = 17
	kindInvokeDynamic = 18
	kindModule        = 19
	kindPackage       = 20
)

// Flags, sections 4.1, 4.6 and 4.7.25.
const (
	accPublic      = 0x0001
	accPrivate     = 0x0002
	accStatic      = 0x0008
	accInterface   = 0x0200
	accAbstract    = 0x0400
	accStaticPhase = 0x0040
)

// reader reads numbers; what is beyond the end is zero, and noted.
type reader struct {
	data []byte
	pos  int
	cut  bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.data)-r.pos {
		r.cut = true
		r.pos = len(r.data)
		return nil
	}
	r.pos += n
	return r.data[r.pos-n : r.pos]
}

func (r *reader) u2() int {
	if b := r.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) u4() int {
	if b := r.take(4); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

// Parse reads a class file. One that is cut off, has constants of unknown kinds or
// refers to constants that it does not have is an error.
func Parse(data []byte) (*Class, error) {
	r := &reader{data: data}
	if magic := r.u4(); magic != 0xcafebabe {
		return nil, errors.New("it does not begin as a class file does")
	}
	c := &Class{data: data}
	c.Preview = r.u2() == 0xffff
	c.Major = r.u2()
	if err := c.constants(r); err != nil {
		return nil, err
	}
	access, this, super := r.u2(), r.u2(), r.u2()
	r.take(2 * r.u2()) // interfaces
	if r.cut {
		return nil, errCut
	}
	var err error
	if c.Name, err = c.className(this); err != nil {
		return nil, err
	}
	if super != 0 {
		if c.Super, err = c.className(super); err != nil {
			return nil, err
		}
	}
	if err := c.members(r, access); err != nil {
		return nil, err
	}
	if c.Name == "module-info" {
		return c, c.module(r)
	}
	return c, nil
}

// constants finds where the constants are.
func (c *Class) constants(r *reader) error {
	n := r.u2()
	c.at = make([]uint32, n)
	for i := 1; i < n; i++ {
		c.at[i] = uint32(r.pos)
		kind := r.take(1)
		if kind == nil {
			return errCut
		}
		switch kind[0] {
		case kindUtf8:
			r.take(r.u2())
		case kindClass, kindString, kindMethodType, kindModule, kindPackage:
			r.take(2)
		case kindMethodHandle:
			r.take(3)
		case kindInteger, kindFloat, kindField, kindMethod, kindInterface, kindNameAndType, kindDynamic, kindInvokeDynamic:
			r.take(4)
		case kindLong, kindDouble:
			r.take(8)
			i++ // these count as two
		default:
			return fmt.Errorf("constant %d is of the unknown kind %d", i, kind[0])
		}
	}
	if r.cut {
		return errCut
	}
	return nil
}

// constant is the content of a constant of one kind; nil when there is no such one.
func (c *Class) constant(i int, kind byte) []byte {
	if i <= 0 || i >= len(c.at) || c.at[i] == 0 {
		return nil
	}
	b := c.data[c.at[i]:]
	if b[0] != kind {
		return nil
	}
	if kind == kindUtf8 {
		return b[3 : 3+int(binary.BigEndian.Uint16(b[1:]))]
	}
	return b[1:]
}

// text is a constant of text; false when there is no such one.
func (c *Class) text(i int) ([]byte, bool) {
	b := c.constant(i, kindUtf8)
	return b, b != nil
}

// named is the text that a constant of another kind names.
func (c *Class) named(i int, kind byte) ([]byte, error) {
	if b := c.constant(i, kind); b != nil {
		if text, ok := c.text(int(binary.BigEndian.Uint16(b))); ok {
			return text, nil
		}
	}
	return nil, fmt.Errorf("it refers to constant %d, which it does not have", i)
}

func (c *Class) className(i int) (string, error) {
	b, err := c.named(i, kindClass)
	return string(b), err
}

const (
	argsDescriptor = "([Ljava/lang/String;)V"
	noneDescriptor = "()V"
)

// members passes over fields and looks for main among the methods.
func (c *Class) members(r *reader, access int) error {
	instance, constructor := false, false
	for _, methods := range []bool{false, true} {
		for n := r.u2(); n > 0 && !r.cut; n-- {
			flags, name, descriptor := r.u2(), r.u2(), r.u2()
			for a := r.u2(); a > 0 && !r.cut; a-- {
				r.take(2)
				r.take(r.u4())
			}
			if !methods || r.cut {
				continue
			}
			text, ok := c.text(name)
			what, also := c.text(descriptor)
			if !ok || !also {
				return errors.New("a method has no name or type")
			}
			switch {
			case string(text) == "<init>" && string(what) == noneDescriptor:
				constructor = flags&accPrivate == 0
			case string(text) != "main" || flags&(accPrivate|accAbstract) != 0:
			case string(what) == argsDescriptor && flags&accPublic != 0 && flags&accStatic != 0:
				c.Main = true
			case string(what) == argsDescriptor || string(what) == noneDescriptor:
				if flags&accStatic != 0 {
					constructor = true // it is not called
				}
				instance = true
			}
		}
	}
	if r.cut {
		return errCut
	}
	c.InstanceMain = !c.Main && instance && constructor && access&(accInterface|accAbstract) == 0
	return nil
}

// module reads the attribute Module, section 4.7.25.
func (c *Class) module(r *reader) error {
	for n := r.u2(); n > 0 && !r.cut; n-- {
		name, _ := c.text(r.u2())
		body := &reader{data: r.take(r.u4())}
		if string(name) != "Module" {
			continue
		}
		own, err := c.named(body.u2(), kindModule)
		if err != nil {
			return err
		}
		c.Module = &Module{Name: string(own)}
		body.take(4) // flags, version
		for n := body.u2(); n > 0 && !body.cut; n-- {
			of, flags, _ := body.u2(), body.u2(), body.u2()
			name, err := c.named(of, kindModule)
			if err != nil {
				return err
			}
			if flags&accStaticPhase == 0 {
				c.Module.Requires = append(c.Module.Requires, string(name))
			}
		}
		if body.cut {
			return errCut
		}
	}
	switch {
	case r.cut:
		return errCut
	case c.Module == nil:
		return errors.New("it describes no module")
	}
	return nil
}

// References calls yield with the names of classes that the class may refer to, as
// com/example/Main, some of them several times: those of constants, and all in types
// of fields and methods, also generic ones and annotations. The bytes must not be
// kept.
func (c *Class) References(yield func(name []byte)) {
	for i := range c.at {
		if text, ok := c.text(i); ok {
			types(text, yield)
			continue
		}
		if b := c.constant(i, kindClass); b != nil {
			name, ok := c.text(int(binary.BigEndian.Uint16(b)))
			// The class of an array has a type for a name.
			if ok && len(name) > 0 && name[0] != '[' {
				yield(name)
			}
		}
	}
}

// types finds the classes in the text of a type, LNAME; or LNAME<…, wherever they are
// in it.
func types(text []byte, yield func(name []byte)) {
	for i := 0; i < len(text); i++ {
		if text[i] != 'L' {
			continue
		}
		end, slash := i+1, false
	name:
		for ; end < len(text); end++ {
			switch b := text[end]; {
			case b == '/':
				slash = true
			case b == ';' || b == '<':
				break name
			case b == '$' || b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= 0x80:
			default:
				slash = false
				break name
			}
		}
		if slash && end < len(text) {
			yield(text[i+1 : end])
			i = end
		}
	}
}

// Strings calls yield with the string constants, in the encoding of class files
// (section 4.4.7), which is UTF-8 but for a few characters. The bytes must not be kept.
func (c *Class) Strings(yield func(text []byte)) {
	for i := range c.at {
		if b := c.constant(i, kindString); b != nil {
			if text, ok := c.text(int(binary.BigEndian.Uint16(b))); ok {
				yield(text)
			}
		}
	}
}

// Calls says whether the class has a reference to a method of this class and name.
func (c *Class) Calls(class, method string) bool {
	for i := range c.at {
		b := c.constant(i, kindMethod)
		if b == nil {
			continue
		}
		of, err := c.named(int(binary.BigEndian.Uint16(b)), kindClass)
		if err != nil || string(of) != class {
			continue
		}
		pair := c.constant(int(binary.BigEndian.Uint16(b[2:])), kindNameAndType)
		if pair == nil {
			continue
		}
		if name, ok := c.text(int(binary.BigEndian.Uint16(pair))); ok && string(name) == method {
			return true
		}
	}
	return false
}
