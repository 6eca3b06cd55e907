import { section } from '../section.js'
import { flag, withDefault } from '../values.js'

/** Finding messages. */
export const search = section({ enable_search: withDefault(flag, true) }, (raw) => ({
  /** False: nothing is indexed, and nobody can search. */
  enabled: raw.enable_search,
}))
