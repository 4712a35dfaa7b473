# Prints the targets of the Makefile, or with `target` and `takes` what one of them takes.
/^#: / { meaning[$2] = substr($0, index($0, $3)) }
/^takes\./ {
  name = substr($1, 7)
  for (i = 3; i <= NF; i++) if ($i !~ /^\$|^PYTHON/) variables[name] = variables[name] " " $i
}
/^##@ / && !target { printf "\n\033[1m%s\033[0m\n", substr($0, 5) }
/^[a-z][a-z-]*:.*## / {
  name = substr($1, 1, index($1, ":") - 1)
  text = substr($0, index($0, "## ") + 3)
  if (name == target) printf "make %s: %s\n\n", name, text
  if (target) next
  printf "  \033[36m%-18s\033[0m %s\n", name, text
  if (name in variables) printf "%20s\033[2m%s\033[0m\n", "", variables[name]
}
END {
  if (!target) {
    print "\nEvery command on an installation also takes OVERLAY, CONTEXT and KIND_CONFIG beside TARGET; all"
    print "of kfpkit's take DRY_RUN=1. `make help-TARGET` says what each variable means."
  }
  count = split(takes, each, " ")
  for (i = 1; i <= count; i++) {
    name = each[i]; sub(/=.*/, "", name)
    printf "  \033[36m%-28s\033[0m %s\n", each[i], meaning[name]
  }
  if (target && !count) print "  It takes no variables."
}
