import { ConnectionError, ERROR, FLAG, FRAME, SETTING, WINDOW_MAX } from './codes.ts'
import type { FloodGuard } from './flood-guard.ts'
import type { FrameSink } from './frame-reader.ts'
import { HeaderBlock } from './header-block.ts'
import { REFUSALS } from './header-blocks.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import type { Life } from './life.ts'
import { FLOOD_COSTS, type Limits } from './limits.ts'
import type { Methods } from './methods.ts'
import type { Outbox } from './outbox.ts'
import type { Outflow } from './outflow.ts'
import { RequestHead } from './request-head.ts'
import { STATUS } from './status.ts'
import type { Stream } from './stream.ts'
import type { StreamTable } from './stream-table.ts'

const PRIORITY_BYTES = 5

const protocol = (what: string): ConnectionError => new ConnectionError(ERROR.protocol, what)
const numberAt = (bytes: Buffer, at: number): number => bytes.readUInt32BE(at)
const idAt = (bytes: Buffer, at: number): number => numberAt(bytes, at) & WINDOW_MAX

/** What frames act upon. */
export interface Acted {
  readonly methods: Methods
  readonly limits: Limits
  readonly outbox: Outbox
  readonly outflow: Outflow
  readonly flood: FloodGuard
  readonly streams: StreamTable
  readonly life: Life
  readonly isOpen: () => boolean
  /** A PING of ours was answered. */
  readonly pinged: (bytes: Buffer, start: number, end: number) => void
}

/**
 * What each frame means to the server's side of a connection (RFC 9113, sections 5 and 6). What is wrong with one stream
 * ends that stream; what is wrong with the connection is thrown as ConnectionError.
 */
export class FrameHandler implements FrameSink {
  readonly #of: Acted
  readonly #limits: Limits
  readonly #outbox: Outbox
  readonly #outflow: Outflow
  readonly #flood: FloodGuard
  readonly #streams: StreamTable
  readonly #hpack: HpackDecoder
  readonly #head: RequestHead
  #hasSettings = false
  /** The block that CONTINUATION has to go on with; nothing else may come. */
  #block: HeaderBlock | undefined
  #lastId = 0
  #idMax = WINDOW_MAX
  #owed = 0

  constructor(of: Acted) {
    const { limits, outbox, outflow, flood, streams } = of
    this.#of = of
    this.#limits = limits
    this.#outbox = outbox
    this.#outflow = outflow
    this.#flood = flood
    this.#streams = streams
    this.#hpack = new HpackDecoder(limits.headerTableBytesMax)
    this.#head = new RequestHead(limits.headerListBytesMax)
  }

  get hasSettings(): boolean {
    return this.#hasSettings
  }

  /** The last stream that was opened. */
  get lastId(): number {
    return this.#lastId
  }

  /** Bytes of header fields that are kept for the peer, as HPACK counts them. */
  get tableBytes(): number {
    return this.#hpack.size
  }

  /** Streams that come from now on get no answer. */
  takeNoMore(): void {
    this.#idMax = this.#lastId
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): boolean {
    if (!this.#hasSettings) {
      if (type !== FRAME.settings || (flags & FLAG.ack) !== 0) throw protocol('the first frame is not SETTINGS')
      this.#hasSettings = true
    }
    if (this.#block !== undefined && (type !== FRAME.continuation || id !== this.#block.id))
      throw protocol('a header block was not ended')
    switch (type) {
      case FRAME.data:
        this.#data(flags, id, bytes, start, end)
        break
      case FRAME.headers:
        this.#headers(flags, id, bytes, start, end)
        break
      case FRAME.priority:
        this.#priority(id, bytes, start, end)
        break
      case FRAME.reset:
        this.#reset(id, end - start)
        break
      case FRAME.settings:
        this.#settings(flags, id, bytes, start, end)
        break
      case FRAME.push:
        throw protocol('clients may not push')
      case FRAME.ping:
        this.#ping(flags, id, bytes, start, end)
        break
      case FRAME.goaway:
        if (id !== 0) throw protocol('GOAWAY on a stream')
        this.#mustBe(end - start >= 8)
        this.#flood.spend(FLOOD_COSTS.goaway)
        break
      case FRAME.windowUpdate:
        this.#windowUpdate(id, bytes, start, end)
        break
      case FRAME.continuation:
        this.#continuation(flags, bytes, start, end)
        break
      default:
        this.#flood.spend(FLOOD_COSTS.unknown)
    }
    return this.#of.isOpen()
  }

  #data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw protocol('DATA without a stream')
    const flow = end - start
    this.#owed += flow
    const [from, to] = (flags & FLAG.padded) === 0 ? [start, end] : this.#unpadded(bytes, start, end)
    this.#credit()
    const stream = this.#known(id)
    if (stream === undefined) return
    if (stream.isRemoteEnded) {
      this.#streams.fault(stream, ERROR.streamClosed)
      return
    }
    const isEnd = (flags & FLAG.endStream) !== 0
    if (from === to && !isEnd) this.#flood.spend(FLOOD_COSTS.emptyData)
    if (!stream.data(bytes, from, to, flow)) this.#streams.fault(stream, ERROR.flowControl)
    else if (isEnd && this.#streams.get(id) === stream) stream.remoteEnd()
  }

  /**
   * Lets the peer send on. What waits is bounded by memory, so the connection's window never waits for one stream; and as
   * it is given back whenever half of it is used, nobody can send beyond it.
   */
  #credit(): void {
    if (this.#owed * 2 < this.#limits.connectionWindowBytes) return
    this.#outbox.windowUpdate(0, this.#owed)
    this.#owed = 0
  }

  /** Where a padded payload begins and ends. */
  #unpadded(bytes: Buffer, start: number, end: number): readonly [number, number] {
    this.#mustBe(end > start)
    const padding = bytes[start]!
    if (start + 1 + padding > end) throw protocol('more padding than payload')
    return [start + 1, end - padding]
  }

  /** The open stream of this id. Of one that is over nothing is wanted; of one that never was it is an error. */
  #known(id: number): Stream | undefined {
    const stream = this.#streams.get(id)
    if (stream !== undefined) return stream
    this.#mustHaveBeen(id)
    this.#flood.spend(FLOOD_COSTS.late)
    if (!this.#streams.wasReset(id) && id <= this.#idMax) this.#streams.resetId(id, ERROR.streamClosed)
    return undefined
  }

  #mustHaveBeen(id: number): void {
    if (id % 2 === 0 || (id > this.#lastId && id <= this.#idMax)) throw protocol('a frame on a stream that is idle')
  }

  #mustBe(isRightSize: boolean): void {
    if (!isRightSize) throw new ConnectionError(ERROR.frameSize, 'a frame of the wrong size')
  }

  #headers(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0 || id % 2 === 0) throw protocol('HEADERS on a stream that no client may open')
    let [from, to] = (flags & FLAG.padded) === 0 ? [start, end] : this.#unpadded(bytes, start, end)
    let isSelfDependent = false
    if ((flags & FLAG.priority) !== 0) {
      this.#mustBe(to - from >= PRIORITY_BYTES)
      isSelfDependent = idAt(bytes, from) === id
      from += PRIORITY_BYTES
    }
    const isEnd = (flags & FLAG.endStream) !== 0
    if ((flags & FLAG.endHeaders) !== 0) this.#request(id, isEnd, isSelfDependent, bytes, from, to)
    else {
      this.#block = new HeaderBlock(id, isEnd, isSelfDependent, this.#limits)
      this.#block.add(bytes, from, to)
    }
  }

  #continuation(flags: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block
    if (block === undefined) throw protocol('CONTINUATION of nothing')
    this.#flood.spend(FLOOD_COSTS.continuation)
    block.add(bytes, start, end)
    if ((flags & FLAG.endHeaders) === 0) return
    this.#block = undefined
    const whole = block.whole()
    this.#request(block.id, block.endsStream, block.isSelfDependent, whole, 0, whole.length)
  }

  /** A whole header block: it is decoded in any case, for the table has to stay the peer's. */
  #request(id: number, isEnd: boolean, isSelfDependent: boolean, bytes: Buffer, start: number, end: number): void {
    const head = this.#head
    head.reset()
    this.#hpack.decode(bytes, start, end, head)
    if (id <= this.#lastId) this.#trailers(id, isEnd)
    else if (id > this.#idMax) this.#flood.spend(FLOOD_COSTS.late)
    else {
      this.#lastId = id
      this.#of.life.hadStream = true
      if (this.#streams.size >= this.#limits.streamsMax) this.#refuse(id, ERROR.refusedStream)
      else if (isSelfDependent || (!head.isTooLarge && !head.isRequest)) this.#refuse(id, ERROR.protocol)
      else this.#open(id, isEnd)
    }
  }

  #open(id: number, isEnd: boolean): void {
    const head = this.#head
    const stream = this.#streams.open(id, head.timeoutMs)
    stream.contentLeft = head.contentLength
    this.#begin(stream)
    if (isEnd && this.#streams.get(id) === stream) stream.remoteEnd()
  }

  #begin(stream: Stream): void {
    const { isTooLarge, method, contentType, path } = this.#head
    const refusal = isTooLarge
      ? REFUSALS.headerList
      : method !== 'POST'
        ? REFUSALS.method
        : isGrpc(contentType)
          ? undefined
          : REFUSALS.contentType
    const begin = refusal === undefined ? this.#of.methods.get(path) : undefined
    if (begin !== undefined) {
      const receiver = begin(stream)
      // A method may refuse a call as it begins.
      if (this.#streams.get(stream.id) === stream) stream.receiver = receiver
      else receiver.gone()
      return
    }
    this.#flood.spend(FLOOD_COSTS.refusal)
    if (refusal !== undefined) stream.refuse(refusal)
    else stream.end(STATUS.unimplemented, `there is no method ${path.slice(0, 256)}`)
  }

  #refuse(id: number, code: number): void {
    this.#streams.resetId(id, code)
    this.#flood.spend(FLOOD_COSTS.fault)
  }

  /** HEADERS on a stream that was opened before: the end of its request. */
  #trailers(id: number, isEnd: boolean): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      this.#flood.spend(FLOOD_COSTS.late)
      if (this.#streams.wasReset(id)) return
      throw new ConnectionError(ERROR.streamClosed, 'HEADERS on a stream that is over')
    }
    if (stream.isRemoteEnded) this.#streams.fault(stream, ERROR.streamClosed)
    else if (!isEnd || !this.#head.isTrailers) this.#streams.fault(stream, ERROR.protocol)
    else stream.remoteEnd()
  }

  #priority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw protocol('PRIORITY without a stream')
    this.#flood.spend(FLOOD_COSTS.priority)
    if (end - start !== PRIORITY_BYTES) this.#spoilt(id, ERROR.frameSize)
    else if (idAt(bytes, start) === id) this.#spoilt(id, ERROR.protocol)
  }

  #spoilt(id: number, code: number): void {
    const stream = this.#streams.get(id)
    if (stream !== undefined) this.#streams.fault(stream, code)
    // A stream that was never opened can't be reset.
    else if (id % 2 === 0 || id > this.#lastId) throw new ConnectionError(code, 'a PRIORITY that can not be')
    else this.#refuse(id, code)
  }

  #reset(id: number, size: number): void {
    this.#mustBe(size === 4)
    if (id === 0) throw protocol('RST_STREAM without a stream')
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      this.#mustHaveBeen(id)
      this.#flood.spend(FLOOD_COSTS.late)
      return
    }
    this.#streams.remove(stream)
    if (!stream.isAnswered) this.#flood.spend(FLOOD_COSTS.unanswered)
  }

  #settings(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocol('SETTINGS on a stream')
    const size = end - start
    if ((flags & FLAG.ack) !== 0) {
      this.#mustBe(size === 0)
      this.#of.life.settingsAcked = true
      this.#flood.spend(FLOOD_COSTS.late)
      return
    }
    this.#mustBe(size % 6 === 0)
    this.#flood.spend(FLOOD_COSTS.settings)
    let initialWindow = this.#outflow.initialWindow
    for (let at = start; at < end; at += 6) {
      const value = numberAt(bytes, at + 2)
      switch (bytes.readUInt16BE(at)) {
        case SETTING.headerTableSize:
          if (value < 4_096) this.#outbox.oweTableUpdate()
          break
        case SETTING.enablePush:
          if (value > 1) throw protocol('ENABLE_PUSH is 0 or 1')
          break
        case SETTING.initialWindowSize:
          if (value > WINDOW_MAX) throw new ConnectionError(ERROR.flowControl, 'a window larger than 2^31-1')
          initialWindow = value
          break
        case SETTING.maxFrameSize:
          if (value < 16_384 || value > 16_777_215) throw protocol('MAX_FRAME_SIZE is 16,384 to 16,777,215')
          break
      }
    }
    this.#outbox.settingsAck()
    // Only the last of several counts: each would have to move the windows of all streams.
    if (initialWindow !== this.#outflow.initialWindow) this.#outflow.resize(initialWindow, this.#streams.all())
  }

  #ping(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw protocol('PING on a stream')
    this.#mustBe(end - start === 8)
    this.#flood.spend(FLOOD_COSTS.ping)
    if ((flags & FLAG.ack) === 0) this.#outbox.ping(true, bytes, start)
    else this.#of.pinged(bytes, start, end)
  }

  #windowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    this.#mustBe(end - start === 4)
    this.#flood.spend(FLOOD_COSTS.windowUpdate)
    const increment = idAt(bytes, start)
    if (id === 0) {
      if (increment === 0) throw protocol('a window update of nothing')
      this.#outflow.grow(increment)
      return
    }
    const stream = this.#streams.get(id)
    if (stream === undefined) this.#mustHaveBeen(id)
    else if (increment === 0) this.#streams.fault(stream, ERROR.protocol)
    else if (!this.#outflow.growStream(stream, increment)) this.#streams.fault(stream, ERROR.flowControl)
  }
}

/** `application/grpc`, alone or with a codec or parameters behind it. */
const isGrpc = (contentType: string): boolean =>
  contentType === 'application/grpc' || /^application\/grpc[+;]/.test(contentType)
