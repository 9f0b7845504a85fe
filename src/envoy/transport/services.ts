import { END, type Handlers, type StreamState } from '../handlers.ts'
import type { HealthService } from '../health-service.ts'
import type { Active } from '../transports.ts'
import type { Call, Method, Methods, Receiver } from './methods.ts'
import { STATUS } from './status.ts'

const WENT_WRONG = 'hubward could not answer'

/** What a stream keeps for its handler, and what the handler may do to it later. */
class ProcessState implements StreamState {
  readonly #of: ProcessCall
  waiting: unknown = undefined
  decided = false
  gone: (() => void) | undefined = undefined

  constructor(of: ProcessCall) {
    this.#of = of
  }

  send(answer: Buffer): void {
    this.#of.call.send(answer)
  }

  fail(): void {
    this.#of.fail()
  }

  keep(bytes: number): boolean {
    return this.#of.call.keep(bytes)
  }
}

/** One stream of ext_proc: one request of a client. */
class ProcessCall implements Receiver {
  readonly call: Call
  readonly #handlers: Handlers
  readonly #active: Active
  readonly #state = new ProcessState(this)
  #isOpen = true

  constructor(handlers: Handlers, active: Active, call: Call) {
    this.#handlers = handlers
    this.#active = active
    this.call = call
    active.count += 1
  }

  message(bytes: Buffer): void {
    if (!this.#isOpen) return
    try {
      const answer = this.#handlers.process(bytes, this.#state)
      if (answer === END) this.halfClosed()
      else if (answer !== undefined) this.call.send(answer)
    } catch (error) {
      this.#handlers.failed(error, 'ext_proc')
      this.fail()
    }
  }

  halfClosed(): void {
    this.call.end(STATUS.ok)
    this.gone()
  }

  gone(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#active.count -= 1
    this.#state.gone?.()
  }

  fail(): void {
    if (!this.#isOpen) return
    this.call.end(STATUS.internal, WENT_WRONG)
    this.gone()
  }
}

/** A call with one message there and one back. */
class UnaryCall implements Receiver {
  readonly #call: Call
  readonly #answer: (request: Buffer) => Buffer
  #request: Buffer | undefined
  #isRefused = false

  /** What `answer` throws ends the call with INTERNAL; it has told of it before. */
  constructor(call: Call, answer: (request: Buffer) => Buffer) {
    this.#call = call
    this.#answer = answer
  }

  message(bytes: Buffer): void {
    if (this.#request === undefined) this.#request = bytes
    else this.#refuse('a unary call has one message')
  }

  halfClosed(): void {
    if (this.#isRefused) return
    if (this.#request === undefined) {
      this.#refuse('a unary call has a message')
      return
    }
    try {
      this.#call.send(this.#answer(this.#request))
      this.#call.end(STATUS.ok)
    } catch {
      this.#call.end(STATUS.internal, WENT_WRONG)
    }
  }

  gone(): void {
    this.#request = undefined
  }

  #refuse(why: string): void {
    this.#isRefused = true
    this.#call.end(STATUS.unimplemented, why)
  }
}

const check =
  (handlers: Handlers, active: Active): Method =>
  (call) =>
    new UnaryCall(call, (request) => {
      active.count += 1
      try {
        return handlers.check(request)
      } catch (error) {
        handlers.failed(error, 'ext_authz')
        throw error
      } finally {
        active.count -= 1
      }
    })

const watch =
  (health: HealthService): Method =>
  (call) => {
    let leave: (() => void) | undefined
    return {
      // One message asks; whatever it names, the answer is that of the whole server.
      message: () => {
        leave ??= health.watch((answer) => call.send(answer))
      },
      // Who has asked goes on listening.
      halfClosed: () => {
        if (leave === undefined) call.end(STATUS.unimplemented, 'a watch begins with a message')
      },
      gone: () => leave?.(),
    }
  }

/** Everything that this server answers to, by path. */
export const methodsOf = (
  handlers: Handlers,
  health: HealthService,
  active: Active,
  more: readonly (readonly [string, Method])[] = [],
): Methods =>
  new Map<string, Method>([
    ['/envoy.service.ext_proc.v3.ExternalProcessor/Process', (call) => new ProcessCall(handlers, active, call)],
    ['/envoy.service.auth.v3.Authorization/Check', check(handlers, active)],
    ['/grpc.health.v1.Health/Check', (call) => new UnaryCall(call, () => health.answer)],
    ['/grpc.health.v1.Health/Watch', watch(health)],
    ...more,
  ])
