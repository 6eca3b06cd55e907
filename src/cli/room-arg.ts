import { Args } from '@oclif/core'

/** A room as an argument of a command. */
export const roomArg = Args.string({
  required: true,
  ignoreStdin: true,
  description: "'!room:example.org', or '#alias:example.org' of this server; in quotes, because of the shell",
})
