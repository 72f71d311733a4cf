// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensors that the SDK knows (`k_vicap_sensor_type` of `k_sensor_comm.h`): its programs name
//! one by number and ask for its size.

/// The numbers and their names, which say size and frame rate.
const TYPES: &[(u32, &str)] = &[
    (0, "OV_OV9732_MIPI_1280X720_30FPS_10BIT_LINEAR"),
    (1, "OV_OV9286_MIPI_1280X720_30FPS_10BIT_LINEAR_IR"),
    (2, "OV_OV9286_MIPI_1280X720_30FPS_10BIT_LINEAR_SPECKLE"),
    (3, "OV_OV9286_MIPI_1280X720_60FPS_10BIT_LINEAR_IR"),
    (4, "OV_OV9286_MIPI_1280X720_60FPS_10BIT_LINEAR_SPECKLE"),
    (5, "OV_OV9286_MIPI_1280X720_30FPS_10BIT_LINEAR_IR_SPECKLE"),
    (6, "OV_OV9286_MIPI_1280X720_60FPS_10BIT_LINEAR_IR_SPECKLE"),
    (7, "IMX335_MIPI_2LANE_RAW12_1920X1080_30FPS_LINEAR"),
    (8, "IMX335_MIPI_2LANE_RAW12_2592X1944_30FPS_LINEAR"),
    (9, "IMX335_MIPI_4LANE_RAW12_2592X1944_30FPS_LINEAR"),
    (
        10,
        "IMX335_MIPI_2LANE_RAW12_1920X1080_30FPS_MCLK_7425_LINEAR",
    ),
    (
        11,
        "IMX335_MIPI_2LANE_RAW12_2592X1944_30FPS_MCLK_7425_LINEAR",
    ),
    (
        12,
        "IMX335_MIPI_4LANE_RAW12_2592X1944_30FPS_MCLK_7425_LINEAR",
    ),
    (13, "IMX335_MIPI_4LANE_RAW10_2XDOL"),
    (14, "IMX335_MIPI_4LANE_RAW10_3XDOL"),
    (15, "SC_SC035HGS_MIPI_1LANE_RAW10_640X480_120FPS_LINEAR"),
    (16, "SC_SC035HGS_MIPI_1LANE_RAW10_640X480_60FPS_LINEAR"),
    (17, "SC_SC035HGS_MIPI_1LANE_RAW10_640X480_30FPS_LINEAR"),
    (
        18,
        "OV_OV9286_MIPI_1280X720_30FPS_10BIT_MCLK_25M_LINEAR_SPECKLE",
    ),
    (19, "OV_OV9286_MIPI_1280X720_30FPS_10BIT_MCLK_25M_LINEAR_IR"),
    (20, "OV_OV9732_MIPI_1280X720_30FPS_10BIT_MCLK_16M_LINEAR"),
    (21, "OV_OV5647_MIPI_1920X1080_30FPS_10BIT_LINEAR"),
    (22, "OV_OV5647_MIPI_2592x1944_10FPS_10BIT_LINEAR"),
    (23, "OV_OV5647_MIPI_640x480_90FPS_10BIT_LINEAR"),
    (24, "OV_OV5647_MIPI_CSI0_1920X1080_30FPS_10BIT_LINEAR"),
    (25, "SC_SC201CS_MIPI_1LANE_RAW10_1600X1200_30FPS_LINEAR"),
    (
        26,
        "SC_SC201CS_SLAVE_MODE_MIPI_1LANE_RAW10_1600X1200_30FPS_LINEAR",
    ),
    (27, "OV_OV5647_MIPI_CSI1_1920X1080_30FPS_10BIT_LINEAR"),
    (28, "OV_OV5647_MIPI_CSI2_1920X1080_30FPS_10BIT_LINEAR"),
    (30, "XS9950_MIPI_CSI0_1280X720_30FPS_YUV422"),
    (31, "XS9950_MIPI_CSI1_1280X720_30FPS_YUV422"),
    (32, "XS9950_MIPI_CSI2_1280X720_30FPS_YUV422"),
    (33, "XS9950_MIPI_CSI0_1920X1080_30FPS_YUV422"),
    (
        34,
        "OV_OV9286_MIPI_1280X720_30FPS_10BIT_MCLK_25M_LINEAR_SPECKLE_V2",
    ),
    (
        35,
        "OV_OV9286_MIPI_1280X720_30FPS_10BIT_MCLK_25M_LINEAR_IR_V2",
    ),
    (36, "OV_OV9732_MIPI_1280X720_30FPS_10BIT_MCLK_16M_LINEAR_V2"),
    (37, "OV_OV5647_MIPI_CSI0_1920X1080_30FPS_10BIT_LINEAR_V2"),
    (38, "OV_OV5647_MIPI_CSI1_1920X1080_30FPS_10BIT_LINEAR_V2"),
    (39, "OV_OV5647_MIPI_CSI2_1920X1080_30FPS_10BIT_LINEAR_V2"),
    (40, "GC2053_MIPI_CSI0_1920X1080_30FPS_10BIT_LINEAR"),
    (41, "OV_OV5647_MIPI_CSI1_640x480_90FPS_10BIT_LINEAR"),
    (42, "OV_OV5647_MIPI_CSI1_1280X720_60FPS_10BIT_LINEAR"),
    (43, "OV_OV5647_MIPI_CSI1_1280X960_45FPS_10BIT_LINEAR"),
    (44, "OV_OV5647_MIPI_CSI0_1280X720_60FPS_10BIT_LINEAR"),
    (45, "OV_OV5647_MIPI_CSI0_1280X960_45FPS_10BIT_LINEAR"),
    (46, "OV_OV5647_MIPI_CSI2_640x480_90FPS_10BIT_LINEAR"),
    (47, "OV_OV5647_MIPI_CSI2_1280X720_60FPS_10BIT_LINEAR"),
    (48, "OV_OV5647_MIPI_CSI2_1280X960_45FPS_10BIT_LINEAR"),
    (49, "GC2053_MIPI_CSI2_1920X1080_30FPS_10BIT_LINEAR"),
    (50, "GC2093_MIPI_CSI0_1920X1080_30FPS_10BIT_LINEAR"),
    (51, "GC2093_MIPI_CSI0_1920X1080_60FPS_10BIT_LINEAR"),
    (52, "GC2093_MIPI_CSI2_1920X1080_30FPS_10BIT_LINEAR"),
    (53, "GC2093_MIPI_CSI2_1920X1080_60FPS_10BIT_LINEAR"),
    (54, "GC2093_MIPI_CSI0_1280X960_90FPS_10BIT_LINEAR"),
    (55, "GC2093_MIPI_CSI2_1280X960_90FPS_10BIT_LINEAR"),
    (56, "GC2093_MIPI_CSI0_1280X720_90FPS_10BIT_LINEAR"),
    (57, "GC2093_MIPI_CSI2_1280X720_90FPS_10BIT_LINEAR"),
    (58, "GC2053_MIPI_CSI0_1280X960_50FPS_10BIT_LINEAR"),
    (60, "GC2053_MIPI_CSI0_1280X720_60FPS_10BIT_LINEAR"),
    (61, "GC2053_MIPI_CSI2_1280X960_50FPS_10BIT_LINEAR"),
    (62, "GC2053_MIPI_CSI2_1280X720_60FPS_10BIT_LINEAR"),
    (63, "GC2093_MIPI_CSI1_1920X1080_30FPS_10BIT_LINEAR"),
    (64, "GC2093_MIPI_CSI1_1920X1080_60FPS_10BIT_LINEAR"),
    (65, "GC2093_MIPI_CSI1_1280X960_90FPS_10BIT_LINEAR"),
    (66, "GC2093_MIPI_CSI1_1280X720_90FPS_10BIT_LINEAR"),
    (67, "OS08A20_MIPI_CSI0_3840X2160_30FPS_10BIT_LINEAR"),
    (68, "SC132GS_MIPI_CSI2_1080X1200_30FPS_10BIT_LINEAR"),
    (69, "SC132GS_MIPI_CSI2_640X480_30FPS_10BIT_LINEAR"),
    (70, "BY3238_MIPI_CSI2_1920X1080_30FPS_10BIT_LINEAR"),
    (71, "BY3238_MIPI_CSI2_1280X960_30FPS_10BIT_LINEAR"),
];

/// A sensor in one of its modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sensor {
    /// `k_vicap_sensor_type`
    pub number: u32,
    /// The enumerator's name.
    pub name: &'static str,
    /// Pixels a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Frames a second.
    pub fps: u16,
}

fn parse(number: u32, name: &'static str) -> Sensor {
    // The two modes that name no size are the 5 megapixel sensor's whole picture.
    let mut sensor = Sensor {
        number,
        name,
        width: 2592,
        height: 1944,
        fps: 30,
    };
    for word in name.split('_') {
        if let Some(fps) = word.strip_suffix("FPS").and_then(|n| n.parse().ok()) {
            sensor.fps = fps;
        }
        if let Some((width, height)) = word.split_once(['X', 'x'])
            && let (Ok(width), Ok(height)) = (width.parse(), height.parse())
        {
            (sensor.width, sensor.height) = (width, height);
        }
    }
    sensor
}

/// The sensor of a number, `None` if the SDK has none.
pub(crate) fn by_number(number: u32) -> Option<Sensor> {
    let (number, name) = TYPES.iter().find(|(n, _)| *n == number)?;
    Some(parse(*number, name))
}

/// The sensor of a name.
pub(crate) fn by_name(name: &str) -> Option<Sensor> {
    let (number, name) = TYPES.iter().find(|(_, n)| *n == name)?;
    Some(parse(*number, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_size_and_rate() {
        let sensor = by_number(7).expect("sample_venc.c's default");
        assert_eq!((sensor.width, sensor.height, sensor.fps), (1920, 1080, 30));
        let sensor = by_number(41).expect("a sensor with a small x");
        assert_eq!((sensor.width, sensor.height, sensor.fps), (640, 480, 90));
        assert_eq!(by_name(sensor.name), Some(sensor));
        assert_eq!(by_number(29), None);
    }
}
