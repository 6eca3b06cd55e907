import type { Templates } from '../../net/templates.js'
import { MatrixError, notFound } from '../../protocol/errors.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { UiAuth } from './ui-auth.js'

/** What somebody has filled in, by the names of the fields. */
export type FormFields = ReadonlyMap<string, string>

/** A stage of a session, as it stands in the address of its page. */
export interface StageAddress {
  readonly type: string
  readonly session: string
  /** Where the page's form goes. */
  readonly path: string
}

/** A page, with 400 where what was filled in was not right. */
export interface StagePage {
  readonly status: 200 | 400
  readonly page: string
}

/** How people do a stage: with which template, and what of the form is what the stage needs. */
interface StageForm {
  readonly template: string
  toAuth(fields: FormFields): JsonObject
}

const FORMS: ReadonlyMap<string, StageForm> = new Map<string, StageForm>([
  ['m.login.dummy', { template: 'dummy_auth.html', toAuth: () => ({}) }],
  [
    'm.login.password',
    {
      template: 'password_auth.html',
      toAuth: (fields) => ({
        identifier: { type: 'm.id.user', user: fields.get('user') ?? '' },
        password: fields.get('password') ?? '',
      }),
    },
  ],
  [
    'm.login.registration_token',
    {
      template: 'registration_token.html',
      toAuth: (fields) => ({ token: fields.get('token') ?? '' }),
    },
  ],
  [
    'm.login.recaptcha',
    {
      template: 'recaptcha.html',
      toAuth: (fields) => ({ response: fields.get('g-recaptcha-response') ?? '' }),
    },
  ],
  ['m.login.terms', { template: 'terms.html', toAuth: () => ({}) }],
])

/**
 * Pages on which people do a stage of user-interactive authentication that their client does not know. Templates have
 * Synapse's names and variables.
 * https://spec.matrix.org/latest/client-server-api/#fallback
 */
export class UiAuthPages {
  readonly #uiAuth: Pick<UiAuth, 'completeApart'>
  readonly #templates: Pick<Templates, 'render'>

  constructor(parts: {
    readonly uiAuth: Pick<UiAuth, 'completeApart'>
    readonly templates: Pick<Templates, 'render'>
  }) {
    this.#uiAuth = parts.uiAuth
    this.#templates = parts.templates
  }

  /** The form, or that it is done. Throws `M_NOT_FOUND` for stages that have no page and for unknown sessions. */
  async render(address: StageAddress): Promise<StagePage> {
    return this.#page(address, undefined)
  }

  /** Takes the form. What is wrong is said on the page; throws as `render`. */
  async submit(address: StageAddress, fields: FormFields): Promise<StagePage> {
    return this.#page(address, fields)
  }

  async #page(address: StageAddress, fields: FormFields | undefined): Promise<StagePage> {
    const form = FORMS.get(address.type)
    if (form === undefined) throw notFound('There is no page for this stage')
    const { session, type, path } = address
    const outcome = await this.#complete(session, type, fields && form.toAuth(fields))
    if (outcome.isDone) return { status: 200, page: await this.#templates.render('auth_success.html', {}) }
    const page = await this.#templates.render(form.template, {
      session,
      myurl: path,
      terms_url: urlOfPolicy(outcome.params),
      sitekey: outcome.params?.['public_key'],
      error: outcome.error?.message,
    })
    return { status: outcome.error === undefined ? 200 : 400, page }
  }

  async #complete(session: string, type: string, auth: JsonObject | undefined) {
    try {
      return await this.#uiAuth.completeApart(session, type, auth)
    } catch (error) {
      // Somebody else's password, or too many wrong ones: people read of it where they were.
      if (!(error instanceof MatrixError) || error.errcode === 'M_NOT_FOUND') throw error
      return { isDone: false, error }
    }
  }
}

/** Of the first policy in what clients are told of `m.login.terms`. */
function urlOfPolicy(params: Readonly<JsonObject> | undefined): string | undefined {
  const first = (of: JsonValue | undefined): JsonValue | undefined =>
    isJsonObject(of) ? Object.values(of).find(isJsonObject) : undefined
  const text = first(first(params?.['policies']))
  const url = isJsonObject(text) ? text['url'] : undefined
  return typeof url === 'string' ? url : undefined
}
