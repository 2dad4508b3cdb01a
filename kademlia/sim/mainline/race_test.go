//go:build race

package mainline

const raceEnabled = true
