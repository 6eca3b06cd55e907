import type { JsonObject } from '../../util/json.js'

/** What somebody signs on for: to log in to a client, or to prove who they are to go on with what they are doing. */
export type SignOnPurpose =
  | { readonly kind: 'login'; readonly redirectUrl: string }
  | {
      readonly kind: 'confirm'
      /** Of user-interactive authentication. */
      readonly sessionId: string
    }

/** What is known when a browser is sent away. */
export interface BeginContext {
  readonly purpose: SignOnPurpose
  /** What the client says that somebody wants: to log in, or to make an account. */
  readonly action?: 'login' | 'register' | undefined
  /** The query of the request, the first value of each name. */
  readonly query: ReadonlyMap<string, string>
  /** Whoever asks is no browser, and keeps no cookies. */
  readonly isProgram?: boolean
}

/** A service at which people prove who they are: single sign-on sends browsers there. */
export interface IdentityProvider {
  /** What clients name it by, and what is written beside external IDs: `cas`, `oidc`, `oidc-<idp_id>`. */
  readonly id: string
  /** For people. */
  readonly name: string
  /** An `mxc://` URI. */
  readonly icon?: string | undefined
  /** https://spec.matrix.org/latest/client-server-api/#definition-mloginsso-flow-schema */
  readonly brand?: string | undefined
  /**
   * Where to send a browser that wants to sign on. `state` names the attempt and cannot be guessed; the provider hands it
   * back with its answer. `memory` is what the provider needs to judge that answer, and is kept with the attempt.
   */
  begin(state: string, context: BeginContext): Promise<{ readonly url: string; readonly memory?: JsonObject }>
  /** Whether accounts are made for people who have none (`enable_registration`). */
  readonly registers: boolean
  /** `allow_existing_users`: somebody whose localpart is that of an account gets that account. */
  readonly adoptsExistingUsers: boolean
  /** External IDs that differ in case alone are one person's. */
  readonly ignoresCase?: boolean
  /** The answer comes as a form that another site has sent (`response_mode: form_post`). */
  readonly answersByPost?: boolean
}

/** What a provider says of somebody who has signed on there and may log in here. */
export interface ExternalIdentity {
  /** Never changes there, and never becomes somebody else's. */
  readonly externalId: string
  /** The provider's own session, by which it says later that it is over. */
  readonly providerSession?: string
  /** The localpart of an account that is made for them; without it they choose one. */
  readonly localpart?: string
  /** They may change that localpart. */
  readonly confirmsLocalpart?: boolean
  readonly displayName?: string
  readonly emails?: readonly string[]
  /** Of a picture, to be fetched as safely as any other address that strangers name. */
  readonly pictureUrl?: string
  /** Told to the client with the answer of `/login`. */
  readonly extraAttributes?: Readonly<JsonObject>
}
