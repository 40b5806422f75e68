package egress

// wholeWorld is set in the environment of a process for which every address there is
// leads to loopback (see corpus_linux_test.go).
const wholeWorld = "PLUGBEAT_TEST_WHOLE_WORLD"
