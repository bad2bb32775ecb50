"""Names and buckets of every metric, so that server, dashboards and tests cannot disagree."""

FRAME_AGE = "fathom_frame_age_seconds"
STAGE = "fathom_stage_seconds"
FRAMES_RECEIVED = "fathom_frames_received_total"
FRAMES = "fathom_frames_total"
BATCH_SIZE = "fathom_batch_size"
STREAMS = "fathom_streams"
WAITING_FRAMES = "fathom_waiting_frames"
LANES_BUSY = "fathom_lanes_busy"
ENGINE_FAULTS = "fathom_engine_faults_total"
LOOP_LAG = "fathom_loop_lag_seconds"
AUTH_REFUSALS = "fathom_auth_refusals_total"
BUILD_INFO = "fathom_build_info"

STAGES = ("wait", "decode", "infer", "finish", "encode")

# 1 ms to 10 s, denser between 5 and 50 ms, where a camera's frame budget lies.
SECONDS_BUCKETS = (
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.0065, 0.008, 0.010, 0.0125, 0.015, 0.0175),
    *(0.020, 0.025, 0.030, 0.035, 0.040, 0.050, 0.065, 0.080, 0.100, 0.150, 0.250),
    *(0.500, 1.0, 2.5, 5.0, 10.0),
)
