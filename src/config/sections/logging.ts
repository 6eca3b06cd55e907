import { section } from '../section.js'
import { optional, text } from '../values.js'

/** What is written down of what the server does. */
export const logging = section({ log_config: optional(text) }, ({ log_config: configPath }) => ({
  /** A file of its own, for `log-config.ts`; without it, what is worth knowing goes to standard output. */
  configPath,
}))
