package config

import "fmt"

// didYouMean suggests the candidate that word was probably meant to be, or
// nothing.
func didYouMean(word string, candidates []string) string {
	if near := closest(word, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// closest returns the candidate that fewest typing errors turn into word, or
// "" when none is near.
func closest(word string, candidates []string) string {
	const longest = 64 // longer words are nobody's typing error
	best, least := "", 1+max(1, min(len(word), longest)/3)
	for _, c := range candidates {
		if len(word) > longest {
			break
		}
		if n := distance([]rune(word), []rune(c)); n < least {
			best, least = c, n
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b []rune) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range a {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}
