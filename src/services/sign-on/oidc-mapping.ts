import type { Environment, Template } from 'nunjucks'
import type { OidcProviderConfig } from '../../config/sections/oidc.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { ExternalIdentity } from './identity-provider.js'
import { localpartFor } from './localparts.js'
import { pythonMethodOf } from './python-methods.js'
import { SignOnFailure } from './sign-on-failure.js'

export interface OidcMappingDependencies {
  readonly config: Pick<OidcProviderConfig, 'mapping' | 'requirements'>
  /** Told of what goes wrong with a template; nobody is kept out by those that are for show. */
  readonly onWarning: (problem: string, error: unknown) => void
}

/** What a template has given may be this long. */
const MAX_LENGTH = 4096
/** As they may be written in Jinja. */
const PYTHON_CONSTANTS = { True: true, False: false, None: null }

/**
 * What the claims of a provider say of somebody, by the operator's templates (`user_mapping_provider`): Jinja's, with the
 * claims as `user`. Templates are the operator's own; claims are anybody's.
 */
export class OidcMapping {
  readonly #deps: OidcMappingDependencies
  #environment: Promise<Environment> | undefined
  readonly #compiled = new Map<string, Template>()

  constructor(deps: OidcMappingDependencies) {
    this.#deps = deps
  }

  /** Who that is at the provider. Throws `mapping_error` where the claims do not say it. */
  async subjectOf(claims: JsonObject): Promise<string> {
    const subject = await this.#renderName(this.#deps.config.mapping.subject, claims)
    // Else everybody whose claims lack it would be the same person.
    if (subject === '') throw mappingError('The service does not say who you are')
    return subject
  }

  /** All that is known of them. Throws `mapping_error`, and `unauthorised` for those who may not log in here. */
  async identityOf(claims: JsonObject): Promise<ExternalIdentity> {
    const { mapping } = this.#deps.config
    this.#checkRequirements(claims)
    const externalId = await this.subjectOf(claims)
    const localpart = mapping.localpart === undefined ? '' : await this.#renderName(mapping.localpart, claims)
    const displayName = await this.#renderExtra('display_name_template', mapping.displayName, claims)
    const email = await this.#renderExtra('email_template', mapping.email, claims)
    const pictureUrl = await this.#renderExtra('picture_template', mapping.picture, claims)
    return {
      externalId,
      confirmsLocalpart: mapping.confirmsLocalpart,
      ...(localpart !== '' && { localpart: localpartFor(localpart) }),
      ...(displayName !== undefined && { displayName }),
      ...(email !== undefined && { emails: [email] }),
      ...(pictureUrl !== undefined && { pictureUrl }),
      extraAttributes: await this.#extraAttributesOf(claims),
    }
  }

  #checkRequirements(claims: JsonObject): void {
    for (const { attribute, values } of this.#deps.config.requirements) {
      const given = Object.hasOwn(claims, attribute) ? [claims[attribute]].flat() : undefined
      const meets =
        given !== undefined && (values === undefined || values.some((value) => given.includes(value)))
      if (!meets) throw new SignOnFailure('unauthorised', 'You are not authorised to log in here.', 403)
    }
  }

  async #extraAttributesOf(claims: JsonObject): Promise<JsonObject> {
    const attributes: JsonObject = {}
    for (const [name, template] of Object.entries(this.#deps.config.mapping.extraAttributes)) {
      const value = await this.#renderExtra(`extra_attributes.${name}`, template, claims)
      if (value !== undefined) attributes[name] = value
    }
    return attributes
  }

  /** What somebody is known by. */
  async #renderName(template: string, claims: JsonObject): Promise<string> {
    try {
      return await this.#render(template, claims)
    } catch (error) {
      this.#deps.onWarning('A template for names gives nothing', error)
      throw mappingError('The service does not say who you are in the way that is expected')
    }
  }

  async #renderExtra(
    name: string,
    template: string | undefined,
    claims: JsonObject,
  ): Promise<string | undefined> {
    if (template === undefined) return undefined
    try {
      const text = await this.#render(template, claims)
      return text === '' ? undefined : text
    } catch (error) {
      this.#deps.onWarning(`The template ${name} gives nothing`, error)
      return undefined
    }
  }

  async #render(text: string, claims: JsonObject): Promise<string> {
    const environment = await (this.#environment ??= createEnvironment())
    let template = this.#compiled.get(text)
    if (template === undefined) {
      template = await compile(text, environment)
      this.#compiled.set(text, template)
    }
    const rendered = template.render({ ...PYTHON_CONSTANTS, user: withoutPrototypes(claims) }).trim()
    if (rendered.length > MAX_LENGTH) throw new Error(`it gives more than ${MAX_LENGTH} characters`)
    return rendered
  }
}

/** Without a loader: a template includes no files. */
async function createEnvironment(): Promise<Environment> {
  const { default: nunjucks } = await import('nunjucks')
  const environment = new nunjucks.Environment(null, { autoescape: false, throwOnUndefined: false })
  environment.addFilter('localpart_from_email', (address: unknown) => String(address).split('@')[0] ?? '')
  return environment
}

/** What a compiled template is inside: a function, and what it looks things up by. */
interface CompiledTemplate {
  rootRenderFunc: (...args: RenderArguments) => void
}

type RenderArguments = [
  environment: unknown,
  context: unknown,
  frame: unknown,
  runtime: Runtime,
  done: unknown,
]

interface Runtime {
  readonly memberLookup: (self: unknown, name: unknown) => unknown
}

/** A template that finds the methods of Python's, too, which templates for Synapse use. */
async function compile(text: string, environment: Environment): Promise<Template> {
  const { default: nunjucks } = await import('nunjucks')
  // Compiled at once.
  const template = new nunjucks.Template(text, environment, '', true)
  const compiled = template as unknown as CompiledTemplate
  const render = compiled.rootRenderFunc
  compiled.rootRenderFunc = (...[given, context, frame, runtime, done]) => {
    const memberLookup: Runtime['memberLookup'] = (self, name) => {
      const isClaim = typeof self === 'object' && self !== null && Object.hasOwn(self, String(name))
      return (isClaim ? undefined : pythonMethodOf(self, name)) ?? runtime.memberLookup(self, name)
    }
    render(given, context, frame, { ...runtime, memberLookup }, done)
  }
  return template
}

/**
 * The same values, where nothing but claims is found under any name, and maps cannot become texts: these would be the same
 * for everybody.
 */
function withoutPrototypes(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutPrototypes)
  if (!isJsonObject(value)) return value
  const copy = Object.create(null) as JsonObject
  for (const [name, part] of Object.entries(value)) copy[name] = withoutPrototypes(part)
  return copy
}

function mappingError(message: string): SignOnFailure {
  return new SignOnFailure('mapping_error', message)
}
