import type { Templates } from '../../net/templates.js'
import { MatrixError } from '../../protocol/errors.js'
import type { ValidationPurpose } from '../../storage/stores/threepid-validations.js'
import type { EmailValidations, ThreepidCredentials } from './email-validations.js'

/** What stands in a link that was mailed. */
export type ValidationLink = ThreepidCredentials & { readonly token: string }

/** Where to go instead, or a page. */
export type ValidationAnswer =
  { readonly location: string } | { readonly status: 200 | 400; readonly page: string }

const TEMPLATES: Readonly<Record<ValidationPurpose, string>> = {
  add: 'add_threepid',
  register: 'registration',
  reset: 'password_reset',
}

/** The pages behind the links with which people prove that an address is theirs. */
export class ValidationPages {
  readonly #validations: Pick<EmailValidations, 'confirm'>
  readonly #templates: Pick<Templates, 'render'>

  constructor(parts: {
    readonly validations: Pick<EmailValidations, 'confirm'>
    readonly templates: Pick<Templates, 'render'>
  }) {
    this.#validations = parts.validations
    this.#templates = parts.templates
  }

  /** Asks first: whoever did not ask for another password must not give one away by looking at a link. */
  async renderQuestion({ sid, clientSecret, token }: ValidationLink): Promise<string> {
    const variables = { sid, token, client_secret: clientSecret }
    return this.#templates.render('password_reset_confirmation.html', variables)
  }

  /** Takes the link as the proof that it is. */
  async confirm(purpose: ValidationPurpose, link: ValidationLink): Promise<ValidationAnswer> {
    try {
      const location = await this.#validations.confirm(link)
      if (location !== undefined) return { location }
      return { status: 200, page: await this.#templates.render(`${TEMPLATES[purpose]}_success.html`, {}) }
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      const variables = { failure_reason: error.message }
      return {
        status: 400,
        page: await this.#templates.render(`${TEMPLATES[purpose]}_failure.html`, variables),
      }
    }
  }
}
