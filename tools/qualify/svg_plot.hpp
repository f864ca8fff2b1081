// A line chart as SVG text: a logarithmic or named axis each way, a legend, nothing else.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace millrace::tools {

struct Tick {
    double at = 0;  // in the axis' own units
    std::string label;
};

struct Axis {
    std::string title;
    double low = 0;  // below `high`, in the units of the points
    double high = 1;
    std::vector<Tick> ticks;
};

struct Series {
    std::string name;
    std::vector<std::pair<double, double>> points;  // (x, y), x ascending
    bool dashed = false;
    bool steps = false;  // as a histogram is drawn: level to the next point
};

// Points outside the axes are drawn on their edge.
[[nodiscard]] std::string svg_plot(const Axis& x, const Axis& y, const std::vector<Series>& series);

// Text as it may stand in a page.
[[nodiscard]] std::string escaped(const std::string& text);

}  // namespace millrace::tools
