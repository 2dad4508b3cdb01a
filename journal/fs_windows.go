package journal

const syncsDirs = false
