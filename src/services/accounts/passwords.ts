import { Semaphore } from '../../util/semaphore.js'
import { MatrixError, invalidParam, limitExceeded } from '../../protocol/errors.js'

/** Slow hashing, as `util/password-hash.ts` does it with the configured rounds and pepper. */
export interface PasswordHasher {
  hash(password: string): Promise<string>
  verify(password: string, hash: string): Promise<boolean>
}

/** `password_config.policy`. */
export interface PasswordPolicy {
  readonly enabled: boolean
  readonly minimumLength: number
  readonly requireDigit: boolean
  readonly requireSymbol: boolean
  readonly requireLowercase: boolean
  readonly requireUppercase: boolean
}

export interface PasswordsOptions {
  readonly policy: PasswordPolicy
  /** How many hashes are computed at once: fewer than the thread pool has threads, which files and DNS need too. */
  readonly concurrency: number
}

const MAX_LENGTH = 512
/** Beyond this many waiting hashes, more seconds of waiting help nobody. */
const MAX_QUEUE = 100

/** Hashes and checks passwords. */
export class Passwords {
  readonly #hasher: PasswordHasher
  readonly #policy: PasswordPolicy
  readonly #semaphore: Semaphore
  #decoy: Promise<string> | undefined

  constructor(hasher: PasswordHasher, options: PasswordsOptions) {
    this.#hasher = hasher
    this.#policy = options.policy
    this.#semaphore = new Semaphore(options.concurrency)
  }

  /** Hashes a password that `checkNew` has let pass. */
  async hash(password: string): Promise<string> {
    return this.#limited(() => this.#hasher.hash(password))
  }

  /**
   * Whether this is the password. Without a hash, for users that do not exist or have no password, the answer is false
   * after as much work as a real check takes.
   */
  async verify(password: string, hash: string | undefined): Promise<boolean> {
    if (password.length > MAX_LENGTH) return false
    const against = hash ?? (await this.#decoyHash())
    const matches = await this.#limited(() => this.#hasher.verify(password, against))
    return matches && hash !== undefined
  }

  /** Throws `M_INVALID_PARAM` or `M_WEAK_PASSWORD` for passwords that nobody may choose. */
  checkNew(password: string): void {
    if (password === '' || password.length > MAX_LENGTH) throw invalidParam('Invalid password')
    const policy = this.#policy
    if (!policy.enabled) return
    if (Array.from(password).length < policy.minimumLength) {
      throw weak(`The password must be at least ${policy.minimumLength} characters long`)
    }
    if (policy.requireDigit && !/[0-9]/.test(password)) throw weak('The password must contain a digit')
    if (policy.requireSymbol && !/[^a-zA-Z0-9]/.test(password))
      throw weak('The password must contain a symbol')
    if (policy.requireLowercase && !/[a-z]/.test(password)) {
      throw weak('The password must contain a lower-case letter')
    }
    if (policy.requireUppercase && !/[A-Z]/.test(password)) {
      throw weak('The password must contain an upper-case letter')
    }
  }

  #decoyHash(): Promise<string> {
    if (this.#decoy === undefined) {
      const decoy = this.#limited(() => this.#hasher.hash('nobody has this password'))
      // A failure is the caller's to report, and not to be remembered.
      decoy.catch(() => (this.#decoy = undefined))
      this.#decoy = decoy
    }
    return this.#decoy
  }

  async #limited<T>(task: () => Promise<T>): Promise<T> {
    if (this.#semaphore.queueLength >= MAX_QUEUE) throw limitExceeded(5000)
    return this.#semaphore.run(task)
  }
}

function weak(message: string): MatrixError {
  return new MatrixError('M_WEAK_PASSWORD', message)
}
