import type { Readable } from 'node:stream'
import type { z } from 'zod'
import type { Requester } from '../services/accounts/requester.js'
import type { Services } from '../services/services.js'
import type { ServerName } from '../protocol/ids.js'
import type { PathParams } from './path-params.js'
import type { HttpResponse } from './responses.js'

/**
 * Who may call. `user`: an access token of a user (guests are refused with `M_GUEST_ACCESS_FORBIDDEN`);
 * `userOrGuest`: guests too; `optionalUser`: a token is checked when there is one; `admin`: a server administrator;
 * `federation`: a request signed by another server; `authenticationService`: the service that has the accounts.
 */
export type AuthKind =
  | 'none'
  | 'user'
  | 'userOrGuest'
  | 'optionalUser'
  | 'appservice'
  | 'admin'
  | 'federation'
  | 'authenticationService'

/** What the handler knows of the caller, by the kind of authentication. */
export type RequesterOf<A extends AuthKind> = A extends 'none' | 'authenticationService'
  ? undefined
  : A extends 'optionalUser'
    ? Requester | undefined
    : A extends 'federation'
      ? { readonly origin: ServerName }
      : Requester

/** Sections of the configuration that limit requests; see `http/rate-limiter.ts`. */
export type RateLimitName =
  | 'none'
  | 'message'
  | 'registration'
  | 'registrationTokenValidity'
  | 'login'
  | 'signOn'
  | 'presence'
  | 'reports'
  | 'roomCreation'
  | 'userDirectory'
  | 'mediaCreate'
  | 'threepidValidation'
  | 'thirdPartyInvite'
  | 'keyRequests'

/** Facts of the HTTP request beyond its parameters. */
export interface RequestInfo {
  readonly method: string
  /** Path and query as sent. */
  readonly url: string
  readonly requestId: string
  /** The client's address; the first of `X-Forwarded-For` where the listener trusts it. */
  readonly ip: string
  readonly userAgent: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The body as text, for those who must see how numbers were written; undefined where no body was read. */
  readonly rawBody: string | undefined
  /** The body itself, for routes without a `body` schema: uploads read it as it comes, within limits of their own. */
  readonly stream: Readable
  /**
   * Aborted when the client goes away (only when the server stops, for routes with `dedupe`: what they do is finished
   * for the client's next attempt). A handler that waits answers then with what it has.
   */
  readonly signal: AbortSignal
}

export interface HandlerInput<Path extends string, A extends AuthKind, Q, B> {
  readonly params: PathParams<Path>
  readonly query: Q
  readonly body: B
  readonly requester: RequesterOf<A>
  readonly request: RequestInfo
}

/** One endpoint: everything about it is in this object. */
export interface RouteDefinition<
  Path extends string,
  A extends AuthKind,
  Query extends z.ZodType | undefined,
  Body extends z.ZodType | undefined,
> {
  /** The specification's name of the operation; for others, a name of our own. Unique. */
  readonly operationId: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'HEAD'
  /**
   * The stable path with `:names`. `/_matrix/{client,media}/v3/` is served at `r0` too unless `legacy: false`. A path
   * that ends with `/:stateKey` is also served without it: the state key is then empty.
   */
  readonly path: Path
  readonly auth: A
  readonly rateLimit?: RateLimitName
  /** `txnId`: the same (user, device, path) is answered once and the answer repeated, also when two arrive at once. */
  readonly dedupe?: 'txnId'
  readonly query?: Query
  /** The schema of the JSON body. Without it the body is not read. */
  readonly body?: Body
  /** An absent or empty body counts as `{}`. */
  readonly emptyBody?: boolean
  /** Largest body in bytes; the default is `http/body.ts`'s. */
  readonly maxBodyBytes?: number
  /** The largest number of values and names in the body; by default as many as its bytes hold. */
  readonly maxBodyParts?: number
  /** Strings of the body may hold U+0000: for content of events. Elsewhere it is refused, since databases do. */
  readonly allowNul?: true
  /** Locked users may call this: logging out. */
  readonly allowLocked?: true
  readonly legacy?: false
  /** Served only where accounts are in the server's own hands, or only where an authentication service has them. */
  readonly accounts?: 'own' | 'delegated'
  /** Further paths with the same parameters, unstable prefixes for example. A parameter that one leaves out is empty. */
  readonly aliases?: readonly string[]
  handler(
    input: HandlerInput<
      Path,
      A,
      Query extends z.ZodType ? z.output<Query> : undefined,
      Body extends z.ZodType ? z.output<Body> : undefined
    >,
    services: Services,
  ): Promise<unknown>
}

/** A route whose types have been forgotten, as tables hold it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the table holds every combination of types
export type Route = RouteDefinition<any, any, any, any>

/**
 * Declares an endpoint. Registers nothing: importing a route has no effect.
 * The handler returns a JSON value (answered with 200) or something made by `responses.ts`.
 */
export function route<
  const Path extends string,
  A extends AuthKind,
  Query extends z.ZodType | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(definition: RouteDefinition<Path, A, Query, Body>): RouteDefinition<Path, A, Query, Body> {
  return definition
}

export type { HttpResponse }
