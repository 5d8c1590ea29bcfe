package spec

// Position is a place in a file: line and column count from 1, columns in
// bytes. The zero Position is unknown.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Range is a piece of text, End exclusive and on the same line or a later one.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Severity says whether a problem stops the build.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is something wrong in the descriptor or in a file of the project.
type Problem struct {
	Severity Severity `json:"severity"`
	// File is the file's path in the project; "" is the descriptor.
	File string `json:"file,omitempty"`
	// Range is the text to mark; zero when the problem is of the whole file.
	Range Range `json:"range"`
	// Message says what is wrong, in one line: `unknown key "versoin"`.
	Message string `json:"message"`
	// Hint says what to write instead; may have several lines, may be empty:
	// `did you mean "version"?`.
	Hint string `json:"hint,omitempty"`
}

// Problems are all that were found, in the order of the file.
type Problems []Problem
