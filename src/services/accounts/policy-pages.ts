import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Templates } from '../../net/templates.js'
import { missingParam, notFound } from '../../protocol/errors.js'
import type { PolicyConsents } from './policy-consents.js'

export interface PolicyPagesOptions {
  /** `user_consent`; undefined: the server has no policy. */
  readonly policy: { readonly version: string; readonly templateDirectory: string } | undefined
}

/** Nothing that leads out of the directory. */
const VERSION = /^\w[\w.-]{0,99}$/
/** The only language for which there are templates. */
const LANGUAGE = 'en'

/** What a link or a form says: of which version, and of whom. */
export interface PolicyRequest {
  /** By default the present one. */
  readonly version: string | undefined
  /** The localpart of a user who may agree; the policy can be read without. */
  readonly user: string | undefined
  /** What makes the link good for this user. */
  readonly signature: string | undefined
}

/** The text of the server's policy, for people who are to agree to it. */
export class PolicyPages {
  readonly #templates: Pick<Templates, 'render'>
  readonly #consents: Pick<PolicyConsents, 'read' | 'agree'> | undefined
  readonly #options: PolicyPagesOptions

  /** `templates`: those of `template_dir`. `consents`: without it people agree only when they register. */
  constructor(
    templates: Pick<Templates, 'render'>,
    consents: Pick<PolicyConsents, 'read' | 'agree'> | undefined,
    options: PolicyPagesOptions,
  ) {
    this.#templates = templates
    this.#consents = consents
    this.#options = options
  }

  /**
   * A version of the policy as a page; with a form where a user is named who has not agreed. Throws `M_NOT_FOUND` where
   * there is no such policy or user, `M_FORBIDDEN` for links that are not the user's.
   */
  async render({ version, user = '', signature = '' }: PolicyRequest): Promise<string> {
    const template = await this.#find(version)
    const reader =
      user === '' ? undefined : await this.#requireConsents().read(user, signature, template.version)
    // Templates show their form only to whom they know.
    return this.#templates.render(template.name, {
      version: template.version,
      public_version: reader === undefined,
      has_consented: reader?.hasConsented ?? false,
      user,
      userhmac: reader === undefined ? '' : signature,
    })
  }

  /** Notes that a user agrees, and says so. Throws as `render`, and `M_MISSING_PARAM`. */
  async agree({ version, user, signature }: PolicyRequest): Promise<string> {
    if (version === undefined) throw missingParam('v')
    if (user === undefined) throw missingParam('u')
    if (signature === undefined) throw missingParam('h')
    const template = await this.#find(version)
    await this.#requireConsents().agree(user, signature, template.version)
    return this.#templates.render(`${LANGUAGE}/success.html`, {})
  }

  async #find(version: string | undefined): Promise<{ version: string; name: string }> {
    const { policy } = this.#options
    const wanted = version ?? policy?.version
    if (policy === undefined || wanted === undefined || !VERSION.test(wanted)) throw unknownPolicy()
    const name = `${LANGUAGE}/${wanted}.html`
    try {
      await access(join(policy.templateDirectory, name))
    } catch {
      throw unknownPolicy()
    }
    return { version: wanted, name }
  }

  #requireConsents(): Pick<PolicyConsents, 'read' | 'agree'> {
    if (this.#consents === undefined) throw notFound('People agree to the policy when they register')
    return this.#consents
  }
}

function unknownPolicy() {
  return notFound('There is no such policy')
}
