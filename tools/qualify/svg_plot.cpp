#include "qualify/svg_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::tools {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 360;
constexpr double kLeft = 74;
constexpr double kRight = 150;  // the legend's
constexpr double kTop = 12;
constexpr double kBottom = 48;

// Told apart also by those who see colours differently (Okabe and Ito).
constexpr std::array kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"};

double along(const Axis& axis, double at) {
    return std::clamp((at - axis.low) / (axis.high - axis.low), 0.0, 1.0);
}
double x_of(const Axis& axis, double at) { return kLeft + along(axis, at) * (kWidth - kLeft - kRight); }
double y_of(const Axis& axis, double at) { return kHeight - kBottom - along(axis, at) * (kHeight - kTop - kBottom); }

std::string frame(const Axis& x, const Axis& y) {
    std::string svg;
    for (const Tick& tick : x.ticks) {
        const double at = x_of(x, tick.at);
        svg += fmt::format("<line class='grid' x1='{0:.1f}' x2='{0:.1f}' y1='{1}' y2='{2}'/>"
                           "<text x='{0:.1f}' y='{3}' text-anchor='middle'>{4}</text>\n",
                           at, kTop, kHeight - kBottom, kHeight - kBottom + 16, escaped(tick.label));
    }
    for (const Tick& tick : y.ticks) {
        const double at = y_of(y, tick.at);
        svg += fmt::format("<line class='grid' y1='{0:.1f}' y2='{0:.1f}' x1='{1}' x2='{2}'/>"
                           "<text x='{3}' y='{4:.1f}' text-anchor='end'>{5}</text>\n",
                           at, kLeft, kWidth - kRight, kLeft - 6, at + 4, escaped(tick.label));
    }
    svg += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>{}</text>\n", (kLeft + kWidth - kRight) / 2, kHeight - 10,
                       escaped(x.title));
    svg += fmt::format("<text transform='translate(14 {:.1f}) rotate(-90)' text-anchor='middle'>{}</text>\n",
                       (kTop + kHeight - kBottom) / 2, escaped(y.title));
    return svg;
}

std::string line_of(const Axis& x, const Axis& y, const Series& series, const char* colour) {
    std::string points;
    double level = 0;
    for (std::size_t i = 0; i < series.points.size(); ++i) {
        const double px = x_of(x, series.points[i].first);
        const double py = y_of(y, series.points[i].second);
        if (series.steps && i != 0) points += fmt::format("{:.1f},{:.1f} ", px, level);
        points += fmt::format("{:.1f},{:.1f} ", px, py);
        level = py;
    }
    return fmt::format("<polyline fill='none' stroke='{}' stroke-width='1.8'{} points='{}'><title>{}</title></polyline>\n",
                       colour, series.dashed ? " stroke-dasharray='5 4'" : "", points, escaped(series.name));
}

}  // namespace

std::string escaped(const std::string& text) {
    std::string safe;
    for (const char c : text) {
        switch (c) {
            case '&': safe += "&amp;"; break;
            case '<': safe += "&lt;"; break;
            case '>': safe += "&gt;"; break;
            case '"': safe += "&quot;"; break;
            case '\'': safe += "&#39;"; break;
            default: safe += c;
        }
    }
    return safe;
}

std::string svg_plot(const Axis& x, const Axis& y, const std::vector<Series>& series) {
    std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img'>\n", kWidth, kHeight) + frame(x, y);
    for (std::size_t i = 0; i < series.size(); ++i) {
        const char* colour = kColours[i % kColours.size()];
        svg += line_of(x, y, series[i], colour);
        const double at = kTop + 10 + 18 * static_cast<double>(i);
        svg += fmt::format("<line x1='{0}' x2='{1}' y1='{2}' y2='{2}' stroke='{3}' stroke-width='2.5'{4}/>"
                           "<text x='{5}' y='{6}'>{7}</text>\n",
                           kWidth - kRight + 12, kWidth - kRight + 34, at, colour,
                           series[i].dashed ? " stroke-dasharray='5 4'" : "", kWidth - kRight + 40, at + 4,
                           escaped(series[i].name));
    }
    return svg + "</svg>\n";
}

}  // namespace millrace::tools
