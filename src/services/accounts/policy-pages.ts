import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Templates } from '../../net/templates.js'
import { notFound } from '../../protocol/errors.js'

export interface PolicyPagesOptions {
  /** `user_consent`; undefined: the server has no policy. */
  readonly policy: { readonly version: string; readonly templateDirectory: string } | undefined
}

/** Nothing that leads out of the directory. */
const VERSION = /^\w[\w.-]{0,99}$/
/** The only language for which there are templates. */
const LANGUAGE = 'en'

/** The text of the server's policy, for people who are to agree to it. */
export class PolicyPages {
  readonly #templates: Pick<Templates, 'render'>
  readonly #options: PolicyPagesOptions

  /** `templates`: those of `template_dir`. */
  constructor(templates: Pick<Templates, 'render'>, options: PolicyPagesOptions) {
    this.#templates = templates
    this.#options = options
  }

  /** A version of the policy as a page, by default the present one. Throws `M_NOT_FOUND` where there is none. */
  async render(version: string | undefined): Promise<string> {
    const { policy } = this.#options
    const wanted = version ?? policy?.version
    if (policy === undefined || wanted === undefined || !VERSION.test(wanted)) throw unknownPolicy()
    const name = `${LANGUAGE}/${wanted}.html`
    try {
      await access(join(policy.templateDirectory, name))
    } catch {
      throw unknownPolicy()
    }
    // Templates show their form only to whom they know.
    return this.#templates.render(name, {
      version: wanted,
      public_version: true,
      has_consented: false,
      user: '',
      userhmac: '',
    })
  }
}

function unknownPolicy() {
  return notFound('There is no such policy')
}
