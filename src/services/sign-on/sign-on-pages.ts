import type { Templates } from '../../net/templates.js'
import type { UserId } from '../../protocol/ids.js'
import type { BeginContext, ExternalIdentity, IdentityProvider } from './identity-provider.js'
import { show, type SignOnAnswer } from './sign-on-answer.js'
import type { SignOnFailure } from './sign-on-failure.js'

export interface SignOnPagesOptions {
  readonly serverName: string
}

/** How somebody is called, as pages show it. */
export interface ShownProfile {
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

/** The pages of single sign-on. Templates have Synapse's names and variables. */
export class SignOnPages {
  readonly #templates: Pick<Templates, 'render'>
  readonly #serverName: string

  constructor(templates: Pick<Templates, 'render'>, { serverName }: SignOnPagesOptions) {
    this.#templates = templates
    this.#serverName = serverName
  }

  /** Asks at which service somebody wants to sign on. `action`: what for, as the client says. */
  async pick(
    providers: readonly IdentityProvider[],
    redirectUrl: string,
    action: BeginContext['action'],
  ): Promise<SignOnAnswer> {
    return this.#show('sso_login_idp_picker.html', {
      redirect_url: redirectUrl,
      providers: providers.map(shownProvider),
      action,
    })
  }

  /** Asks whether a client may have the account. `redirectUrl` has the token in it. */
  async confirmClient(of: {
    redirectUrl: string
    displayUrl: string
    userId: UserId
    profile: ShownProfile
    isNew: boolean
  }): Promise<SignOnAnswer> {
    return this.#show('sso_redirect_confirm.html', {
      redirect_url: of.redirectUrl,
      display_url: of.displayUrl,
      user_id: of.userId,
      user_profile: shownProfile(of.profile),
      new_user: of.isNew,
    })
  }

  /** Asks somebody to go on to a service who has to prove who they are. */
  async confirmOperation(of: {
    redirectUrl: string
    description: string
    provider: IdentityProvider
  }): Promise<string> {
    return this.#render('sso_auth_confirm.html', {
      redirect_url: of.redirectUrl,
      description: of.description,
      idp: shownProvider(of.provider),
    })
  }

  /** They have proven who they are. */
  async operationConfirmed(): Promise<SignOnAnswer> {
    return this.#show('sso_auth_success.html', {})
  }

  /** They have signed on as somebody else. */
  async wrongUser(userId: UserId | undefined): Promise<SignOnAnswer> {
    // Not 403: they have signed on. Programs that follow the links take that, which Synapse answers too, for a page.
    return this.#show('sso_auth_bad_user.html', { user_id_to_verify: userId ?? '' })
  }

  async deactivated(): Promise<SignOnAnswer> {
    return this.#show('sso_account_deactivated.html', {}, 403)
  }

  /** Asks a newcomer how they want to be called. `error`: what was wrong with what they wanted before. */
  async accountDetails(of: {
    provider: IdentityProvider
    identity: ExternalIdentity
    localpart: string
    error?: string
  }): Promise<SignOnAnswer> {
    const { provider, identity, localpart, error } = of
    return this.#show(
      'sso_auth_account_details.html',
      {
        idp: shownProvider(provider),
        user_attributes: {
          localpart,
          display_name: identity.displayName ?? '',
          emails: identity.emails ?? [],
          avatar_url: identity.pictureUrl ?? '',
        },
        error,
      },
      error === undefined ? 200 : 400,
    )
  }

  /** Asks a newcomer to agree to the server's policy. */
  async consent(of: {
    userId: UserId
    displayName: string | undefined
    version: string
  }): Promise<SignOnAnswer> {
    return this.#show('sso_new_user_consent.html', {
      user_id: of.userId,
      user_profile: shownProfile({ displayName: of.displayName, avatarUrl: undefined }),
      consent_version: of.version,
      terms_url: `/_matrix/consent?v=${encodeURIComponent(of.version)}`,
    })
  }

  /** Why somebody cannot sign on. */
  async error({
    code,
    message,
    status,
  }: Pick<SignOnFailure, 'code' | 'message' | 'status'>): Promise<SignOnAnswer> {
    return this.#show('sso_error.html', { error: code, error_description: message }, status)
  }

  async #show(name: string, variables: Record<string, unknown>, status = 200): Promise<SignOnAnswer> {
    return show(await this.#render(name, variables), { status })
  }

  #render(name: string, variables: Record<string, unknown>): Promise<string> {
    return this.#templates.render(name, { server_name: this.#serverName, ...variables })
  }
}

function shownProvider({ id, name, icon, brand }: IdentityProvider) {
  return { idp_id: id, idp_name: name, idp_icon: icon, idp_brand: brand }
}

function shownProfile({ displayName, avatarUrl }: ShownProfile) {
  return { display_name: displayName ?? '', avatar_url: avatarUrl ?? '' }
}
